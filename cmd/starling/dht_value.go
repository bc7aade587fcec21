package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/node/api"
)

func newDHTPutCmd(a *app) *cobra.Command {
	var f dhtFlags
	var file string
	cmd := &cobra.Command{
		Use:   "put --from NAME RECORD [VALUE]",
		Short: "write a value: text, or the bytes of --file",
		Long: fmt.Sprintf(`Writes a value, in the place of one that was there. Of two that are written at once the
later one stays. Values of more than %s are cut into chunks; the largest have %s.`, size(dht.ChunkSize), size(dht.MaxValue)),
		Example: "  starling dht put --from alice greeting hello\n  starling dht put --from alice photo --file cat.jpg\n  starling dht put --from alice diary --file - --private --reader READER-KEY",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := a.dhtInput(args[1:], file)
			if err != nil {
				return err
			}
			return a.writeDHT(cmd, f, func(ctx context.Context, s *dht.Store, _ func(string) (store.Ref, error)) error {
				if err := s.Put(ctx, args[0], value); err != nil {
					return err
				}
				return a.print(map[string]any{"name": args[0], "bytes": len(value)}, func(w io.Writer) {
					fmt.Fprintf(w, "%s is written: %s\n", args[0], size(int64(len(value))))
				})
			})
		},
	}
	f.bind(cmd, true)
	cmd.Flags().StringVar(&file, "file", "", "file with the value; - is standard input")
	return cmd
}

func (a *app) dhtInput(args []string, file string) ([]byte, error) {
	switch {
	case len(args) == 1 && file == "":
		return []byte(args[0]), nil
	case len(args) == 1 || file == "":
		return nil, usage("want either a VALUE or --file")
	}
	in := a.stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read the value: %w", err)
		}
		defer f.Close()
		in = f
	}
	value, err := io.ReadAll(io.LimitReader(in, dht.MaxValue+1))
	if err != nil {
		return nil, fmt.Errorf("read the value: %w", err)
	}
	if len(value) > dht.MaxValue {
		return nil, usage("%s has more than %s", file, size(dht.MaxValue))
	}
	return value, nil
}

// readFlags are the flags of commands that read.
type readFlags struct {
	from    string
	quorum  int
	staleOK bool
}

func (f *readFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "account of the wallet that reads, for private records")
	cmd.Flags().IntVar(&f.quorum, "quorum", 0, "holders to hear; 0 is a majority")
	cmd.Flags().BoolVar(&f.staleOK, "stale-ok", false, "take what the node holds itself, without asking others; it may be an earlier value")
	passphraseFlag(cmd)
}

func (f *readFlags) options(a *app) dht.Options {
	return dht.Options{Read: f.quorum, StaleOK: f.staleOK, Progress: a.dhtProgress()}
}

func newDHTGetCmd(a *app) *cobra.Command {
	var f readFlags
	var out string
	cmd := &cobra.Command{
		Use:     "get OWNER/NAME",
		Short:   "read a record of any kind",
		Example: "  starling dht get alice/greeting\n  starling dht get ADDRESS/photo --out cat.jpg\n  starling dht get alice/diary --from bob",
		Args:    exactly("OWNER/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.readDHT(cmd, f.from, f.options(a), func(ctx context.Context, s *dht.Store, ref func(string) (store.Ref, error)) error {
				ctx, cancel := context.WithTimeout(ctx, a.timeout)
				defer cancel()
				r, err := ref(args[0])
				if err != nil {
					return err
				}
				rec, err := s.Record(ctx, r)
				if err != nil {
					return err
				}
				return a.showRecord(ctx, s, rec, out)
			})
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&out, "out", "", "write the value to this file, as it is")
	return cmd
}

// recordView is a record in JSON.
type recordView struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"`
	Sealed  bool      `json:"sealed,omitempty"`
	Expires time.Time `json:"expires"`
	Digest  string    `json:"digest"`
	Value   api.Value `json:"value"`
}

func (a *app) showRecord(ctx context.Context, s *dht.Store, rec *store.Record, out string) error {
	var value []byte
	if rec.Header.Kind == crdt.Register {
		var err error
		if value, err = s.Value(ctx, rec); err != nil {
			return err
		}
		if out != "" {
			if err := os.WriteFile(out, value, 0o600); err != nil {
				return fmt.Errorf("write the value: %w", err)
			}
			return a.print(map[string]any{"file": out, "bytes": len(value)}, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", out, size(int64(len(value)))) })
		}
	} else if out != "" {
		return usage("--out is for values; this is a %s", rec.Header.Kind)
	}
	v := recordView{
		Name: rec.Ref.Name, Kind: rec.Header.Kind.String(), Sealed: rec.Header.Seal != 0, Expires: rec.Expires().UTC(), Digest: rec.Digest.String(),
		Value: api.ValueOf(rec.State, nil, rec.Header.Kind, value),
	}
	return a.print(v, func(w io.Writer) { drawValue(w, v.Value, "") })
}

// drawValue writes what a record says, for people and pipes.
func drawValue(w io.Writer, v api.Value, indent string) {
	switch {
	case v.Count != nil:
		fmt.Fprintf(w, "%s%d\n", indent, *v.Count)
	case v.Text != nil:
		fmt.Fprintf(w, "%s%s\n", indent, strings.TrimSuffix(*v.Text, "\n"))
	case v.Bytes != nil:
		fmt.Fprintf(w, "%s%x\n", indent, v.Bytes)
	}
	for _, m := range v.Members {
		fmt.Fprintf(w, "%s%s\n", indent, datumText(m))
	}
	for _, e := range v.Entries {
		fmt.Fprintf(w, "%s%s  %s\n", indent, e.Time.Format(time.RFC3339), datumText(e.Datum))
	}
	for _, f := range v.Fields {
		fmt.Fprintf(w, "%s%s:\n", indent, f.Name)
		drawValue(w, f.Value, indent+"  ")
	}
}

func datumText(d api.Datum) string {
	if d.Text != nil {
		return *d.Text
	}
	return fmt.Sprintf("%x", d.Bytes)
}

func newDHTWatchCmd(a *app) *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:     "watch OWNER/NAME",
		Short:   "print a record now and whenever it changes, until Ctrl-C",
		Example: "  starling dht watch alice/greeting",
		Args:    exactly("OWNER/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.readDHT(cmd, f.from, dht.Options{Read: f.quorum}, func(ctx context.Context, s *dht.Store, ref func(string) (store.Ref, error)) error {
				r, err := ref(args[0])
				if err != nil {
					return err
				}
				for rec := range s.Watch(ctx, r) {
					if rec == nil {
						if err := a.line(map[string]any{"name": r.Name, "gone": true}, r.Name+" is not there"); err != nil {
							return err
						}
						continue
					}
					if err := a.showRecord(ctx, s, rec, ""); err != nil {
						return err
					}
				}
				return ctx.Err()
			})
		},
	}
	f.bind(cmd)
	return cmd
}

func newDHTRmCmd(a *app) *cobra.Command {
	var f dhtFlags
	cmd := &cobra.Command{
		Use: "rm --from NAME RECORD...", Short: "delete records", Example: "  starling dht rm --from alice greeting", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.writeDHT(cmd, f, func(ctx context.Context, s *dht.Store, _ func(string) (store.Ref, error)) error {
				for _, name := range args {
					if err := s.Delete(ctx, name); err != nil {
						return err
					}
					if err := a.line(map[string]any{"deleted": name}, name+" is deleted"); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f.bind(cmd, false)
	return cmd
}

func newDHTLsCmd(a *app) *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:     "ls OWNER",
		Short:   "list the names of an owner's records",
		Long:    "Lists the names of the records that this command line wrote. Those of private records\nare listed only with --from, which must be the owner.",
		Example: "  starling dht ls alice", Args: exactly("OWNER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.readDHT(cmd, f.from, f.options(a), func(ctx context.Context, s *dht.Store, ref func(string) (store.Ref, error)) error {
				ctx, cancel := context.WithTimeout(ctx, a.timeout)
				defer cancel()
				_, names, err := namesOf(ctx, s, ref, args[0])
				if err != nil {
					return err
				}
				return a.print(append([]string{}, names...), func(w io.Writer) {
					for _, n := range names {
						fmt.Fprintln(w, n)
					}
				})
			})
		},
	}
	f.bind(cmd)
	return cmd
}

// namesOf lists the names of an owner's records.
func namesOf(ctx context.Context, s *dht.Store, ref func(string) (store.Ref, error), owner string) (store.Owner, []string, error) {
	r, err := ref(owner + "/any")
	if err != nil {
		return store.Owner{}, nil, err
	}
	names, err := s.Names(ctx, r.Owner)
	return r.Owner, names, err
}

func newDHTRenewCmd(a *app) *cobra.Command {
	var f dhtFlags
	cmd := &cobra.Command{
		Use: "renew --from NAME RECORD...", Short: "let records live on", Example: "  starling dht renew --from alice greeting --life 720h", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.writeDHT(cmd, f, func(ctx context.Context, s *dht.Store, _ func(string) (store.Ref, error)) error {
				for _, name := range args {
					if err := s.Renew(ctx, name); err != nil {
						return err
					}
					if err := a.line(map[string]any{"renewed": name, "life_s": f.life.Seconds()}, fmt.Sprintf("%s lives for another %s", name, f.life)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f.bind(cmd, true)
	return cmd
}

func newDHTShareCmd(a *app) *cobra.Command {
	var f dhtFlags
	cmd := &cobra.Command{
		Use:     "share --from NAME RECORD",
		Short:   "set who may read and change a record, keeping its value",
		Long:    "Sets who may read and change a record. A private record gets a new key: who may not read\nit any more cannot read what comes; what was readable before may have been kept.",
		Example: "  starling dht share --from alice friends --writer WRITER-KEY\n  starling dht share --from alice diary --private --reader READER-KEY", Args: exactly("RECORD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.writeDHT(cmd, f, func(ctx context.Context, s *dht.Store, _ func(string) (store.Ref, error)) error {
				if err := s.Share(ctx, args[0]); err != nil {
					return err
				}
				return a.line(map[string]any{"shared": args[0]}, args[0]+" is shared anew")
			})
		},
	}
	f.bind(cmd, true)
	return cmd
}

func newDHTImportCmd(a *app) *cobra.Command {
	var f dhtFlags
	var prefix string
	cmd := &cobra.Command{
		Use: "import --from NAME FOLDER", Short: "write all files of a folder as records, named by their paths",
		Example: "  starling dht import --from alice site/ --prefix www/", Args: exactly("FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.writeDHT(cmd, f, func(ctx context.Context, s *dht.Store, _ func(string) (store.Ref, error)) error {
				root, err := os.OpenRoot(args[0])
				if err != nil {
					return fmt.Errorf("import: %w", err)
				}
				defer root.Close()
				return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
					if err != nil || !d.Type().IsRegular() {
						return err
					}
					value, err := root.ReadFile(path)
					if err != nil {
						return fmt.Errorf("import: %w", err)
					}
					name := prefix + path
					if err := s.Put(ctx, name, value); err != nil {
						return err
					}
					return a.line(map[string]any{"name": name, "bytes": len(value)}, fmt.Sprintf("%s: %s", name, size(int64(len(value)))))
				})
			})
		},
	}
	f.bind(cmd, true)
	cmd.Flags().StringVar(&prefix, "prefix", "", "put this before the names")
	return cmd
}

func newDHTExportCmd(a *app) *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use: "export OWNER FOLDER", Short: "write an owner's values as files into a new folder",
		Example: "  starling dht export alice backup/", Args: exactly("OWNER", "FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.readDHT(cmd, f.from, f.options(a), func(ctx context.Context, s *dht.Store, ref func(string) (store.Ref, error)) error {
				owner, names, err := namesOf(ctx, s, ref, args[0])
				if err != nil {
					return err
				}
				if err := os.Mkdir(args[1], 0o700); err != nil {
					return fmt.Errorf("export: %w", err)
				}
				root, err := os.OpenRoot(args[1]) // no name leads out of the folder
				if err != nil {
					return fmt.Errorf("export: %w", err)
				}
				defer root.Close()
				for _, name := range names {
					if err := a.exportRecord(ctx, s, root, store.Ref{Owner: owner, Name: name}); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f.bind(cmd)
	return cmd
}

func (a *app) exportRecord(ctx context.Context, s *dht.Store, root *os.Root, ref store.Ref) error {
	value, err := s.Get(ctx, ref)
	switch {
	case errors.Is(err, store.ErrNotFound):
		a.remark("%s has expired", ref.Name)
		return nil
	case errors.Is(err, crdt.ErrKind), errors.Is(err, store.ErrSealed):
		a.remark("%s is left out: %v", ref.Name, err)
		return nil
	case err != nil:
		return err
	}
	if dir := filepath.Dir(ref.Name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("export %s: %w", ref.Name, err)
		}
	}
	if err := root.WriteFile(ref.Name, value, 0o600); err != nil {
		return fmt.Errorf("export %s: %w", ref.Name, err)
	}
	return a.line(map[string]any{"name": ref.Name, "bytes": len(value)}, fmt.Sprintf("%s: %s", ref.Name, size(int64(len(value)))))
}
