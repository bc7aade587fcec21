package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const envPrefix = "STARLING_"

// notSettings are STARLING_ variables that mean something to the command line
// but are no keys of the configuration.
var notSettings = []string{"STARLING_CONFIG", "STARLING_PASSPHRASE_FILE"}

// Source is where a value came from.
type Source string

// The sources, weakest first.
const (
	SourceDefault Source = "default"
	SourceFile    Source = "file"
	SourceEnv     Source = "env"
	SourceFlag    Source = "flag"
)

// Origin says where an effective value came from: Detail is "config.toml:12",
// the variable's or the flag's name, and empty for defaults.
type Origin struct {
	Source Source `json:"source"`
	Detail string `json:"detail,omitempty"`
}

// String is the origin as shown to people.
func (o Origin) String() string {
	if o.Detail == "" {
		return string(o.Source)
	}
	return o.Detail
}

// Origins maps every key to where its value came from.
type Origins map[string]Origin

// Load merges the sources into a configuration and validates it. Path is the
// TOML file; if it is empty, STARLING_CONFIG names the file, or else it is
// [FileName] in the home folder, which need not exist. Environ is in the form of
// os.Environ; flags may be nil, and of them only those that [BindFlags] made and
// that were set count.
//
// The error joins everything that is wrong in any source. The configuration is
// then not usable.
func Load(path string, environ []string, flags *pflag.FlagSet) (Config, Origins, error) {
	fields, sections := schema()
	cfg := Default()

	fromEnv, envErr := readEnv(environ, fields)
	fromFlags, flagErr := readFlags(flags, fields)
	home := lastText("home", cfg.Home, fromEnv, fromFlags)
	fromFile, fileErr := readFile(path, environ, home, fields, sections)
	if err := errors.Join(fileErr, envErr, flagErr); err != nil {
		return cfg, nil, err
	}

	origins := Origins{}
	for _, f := range fields {
		origins[f.key] = Origin{Source: SourceDefault}
	}
	k := koanf.New(".")
	for _, s := range slices.Concat(fromFile, fromEnv, fromFlags) {
		if err := k.Set(s.key, s.value); err != nil {
			return cfg, nil, fmt.Errorf("configuration key %s: %w", s.key, err)
		}
		origins[s.key] = s.origin
	}
	if err := k.Unmarshal("", &cfg); err != nil {
		return cfg, nil, fmt.Errorf("configuration: %w", err)
	}
	if err := cfg.absolute(origins); err != nil {
		return cfg, nil, err
	}
	return cfg, origins, cfg.Validate()
}

// absolute anchors paths: those given by a person at the prompt start at the
// working directory, as everywhere, and those in a file at Home, so that a home
// folder can be moved.
func (c *Config) absolute(origins Origins) (err error) {
	if c.Home, err = filepath.Abs(expandTilde(c.Home)); err != nil {
		return fmt.Errorf("home: %w", err)
	}
	c.Genesis = expandTilde(c.Genesis)
	if s := origins["genesis"].Source; s == SourceEnv || s == SourceFlag {
		if c.Genesis, err = filepath.Abs(c.Genesis); err != nil {
			return fmt.Errorf("genesis: %w", err)
		}
	}
	return nil
}

func expandTilde(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	if !ok {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(home, rest)
}

func readFile(path string, environ []string, home string, fields []field, sections []section) ([]setting, error) {
	optional := false
	if path == "" {
		path = lookup(environ, "STARLING_CONFIG")
	}
	if path == "" {
		path, optional = filepath.Join(expandTilde(home), FileName), true
	}
	data, err := os.ReadFile(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w (`starling config sample` prints one to begin with)", err)
	}
	return readTOML(path, data, fields, sections)
}

func readEnv(environ []string, fields []field) ([]setting, error) {
	byName := map[string]field{}
	var known []string
	for _, f := range fields {
		byName[f.env()] = f
		known = append(known, f.env())
	}
	var settings []setting
	var faults []error
	provider := env.Provider("", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, text string) (string, any) {
			if slices.Contains(notSettings, name) || serviceVariable(name) {
				return "", nil
			}
			f, ok := byName[name]
			if !ok {
				faults = append(faults, fmt.Errorf("environment: unknown variable %s%s", name, suggest(name, known)))
				return "", nil
			}
			value, err := f.parse(text)
			if err != nil {
				faults = append(faults, fmt.Errorf("environment: %s: %w", name, err))
				return "", nil
			}
			settings = append(settings, setting{f.key, value, Origin{SourceEnv, name}})
			return "", nil
		},
	})
	if _, err := provider.Read(); err != nil {
		return nil, fmt.Errorf("environment: %w", err)
	}
	return settings, errors.Join(faults...)
}

// serviceVariable recognises what Kubernetes and Docker put into every
// container beside a service called "starling": a node must start there too.
func serviceVariable(name string) bool {
	return strings.HasPrefix(name, "STARLING_SERVICE_") || strings.HasPrefix(name, "STARLING_PORT") ||
		strings.HasSuffix(name, "_TCP_ADDR") || strings.HasSuffix(name, "_UDP_ADDR")
}

func lookup(environ []string, name string) string {
	for _, kv := range environ {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

func lastText(key, fallback string, layers ...[]setting) string {
	for _, layer := range layers {
		for _, s := range layer {
			if text, ok := s.value.(string); ok && s.key == key && text != "" {
				fallback = text
			}
		}
	}
	return fallback
}

// sortByLine orders faults as the file has them; they begin with path:line.
func sortByLine(faults []error) []error {
	line := func(err error) int {
		for part := range strings.SplitSeq(err.Error(), ":") {
			if n, convErr := strconv.Atoi(part); convErr == nil {
				return n
			}
		}
		return 0
	}
	slices.SortStableFunc(faults, func(a, b error) int { return line(a) - line(b) })
	return faults
}
