package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// print writes a result: as JSON, or as the human function draws it.
func (a *app) print(v any, human func(io.Writer)) error {
	if !a.json {
		human(a.stdout)
		return nil
	}
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// line writes one object of a stream.
func (a *app) line(v any, human string) error {
	if !a.json {
		_, err := fmt.Fprintln(a.stdout, human)
		return err
	}
	return json.NewEncoder(a.stdout).Encode(v)
}

// remark tells a person something beside the result.
func (a *app) remark(format string, args ...any) {
	if !a.quiet && !a.json {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// maxInput bounds what is read of a file that a command is given.
const maxInput = 1 << 20

// readInput reads a small file, or standard input for "-".
func (a *app) readInput(path string) ([]byte, error) {
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > maxInput {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxInput)
	}
	return data, nil
}

// interactive reports whether a stream is a terminal.
func interactive(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) colors(w io.Writer) bool {
	return !a.noColor && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb" && interactive(w)
}

func (a *app) paint(w io.Writer, s string, colors ...text.Color) string {
	if !a.colors(w) {
		return s
	}
	text.EnableColors()
	return text.Colors(colors).Sprint(s)
}

func (a *app) red(w io.Writer, s string) string   { return a.paint(w, s, text.FgRed) }
func (a *app) green(w io.Writer, s string) string { return a.paint(w, s, text.FgGreen) }
func (a *app) faint(w io.Writer, s string) string { return a.paint(w, s, text.Faint) }
func (a *app) bold(w io.Writer, s string) string  { return a.paint(w, s, text.Bold) }

// table draws rows under a header, aligned, numbers to the right.
func (a *app) table(w io.Writer, header []string, rows [][]any) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.SetStyle(plainStyle)
	columns := make([]table.ColumnConfig, len(header))
	head := make(table.Row, len(header))
	for i, h := range header {
		h, right := strings.CutPrefix(h, ">")
		head[i] = h
		columns[i].Number = i + 1
		if right {
			columns[i].Align, columns[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	t.SetColumnConfigs(columns)
	t.AppendHeader(head)
	for _, row := range rows {
		t.AppendRow(row)
	}
	t.SuppressTrailingSpaces()
	t.Render()
}

// facts draws names and values in two columns; empty values are left out.
func (a *app) facts(w io.Writer, pairs ...any) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		if fmt.Sprint(pairs[i+1]) != "" {
			width = max(width, len(pairs[i].(string)))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if value := fmt.Sprint(pairs[i+1]); value != "" {
			fmt.Fprintf(w, "%s  %s\n", a.faint(w, fmt.Sprintf("%-*s", width, pairs[i])), value)
		}
	}
}

// plainStyle has no lines: output is also read by awk and by small screens.
var plainStyle = func() table.Style {
	s := table.StyleDefault
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	s.Options = table.Options{}
	s.Format.Header = text.FormatUpper
	return s
}()

func count[N int | uint64 | int64](n N) string { return humanize.Comma(int64(n)) }

func plural[N int | uint64 | int64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}

// coins groups the whole part of an amount: 1250000.5 becomes 1,250,000.5.
func coins(amount string) string {
	whole, fraction, dotted := strings.Cut(amount, ".")
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	if dotted {
		b.WriteString("." + fraction)
	}
	return b.String()
}

// ago says how long ago something was.
func (a *app) ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return humanize.RelTime(t, a.now(), "ago", "from now")
}

// short shows the beginning of a hash.
func short(s string) string { return s[:min(12, len(s))] }

// size is a number of bytes for people.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
