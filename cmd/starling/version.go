package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// releaseVersion is set by release builds with -ldflags; otherwise the module's
// version, or the revision, stands for it.
var releaseVersion string

// buildVersion names this build in a word, as the API and the mesh show it.
func buildVersion() string { return readBuild().Version }

// build is what `version --json` prints.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "show which build this is",
		Example: "  starling version\n  starling version --json",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			b := readBuild()
			return a.print(b, func(w io.Writer) {
				fmt.Fprintf(w, "starling %s (%s, %s)\n", b.Version, b.Go, b.Platform)
			})
		},
	}
}

func readBuild() build {
	b := build{Version: releaseVersion, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
		if b.Revision != "" {
			b.Version += "-" + b.Revision[:min(12, len(b.Revision))]
		}
	}
	return b
}
