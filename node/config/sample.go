package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Sample is a configuration file that explains every key. Each stands commented
// out with its default, so that a file made from it follows later defaults
// wherever its owner has not decided otherwise.
func Sample() string {
	fields, sections := schema()
	defaults := Default()
	var b strings.Builder
	b.WriteString("# Configuration of a Starling node. What is commented out shows the default.\n" +
		"# STARLING_SECTION_KEY in the environment overrides the file, --section-key overrides both.\n\n")
	write := func(name string) {
		for _, f := range fields {
			if f.section() == name {
				key := f.key[strings.LastIndexByte(f.key, '.')+1:]
				fmt.Fprintf(&b, "# %s\n#%s = %s\n\n", f.doc, key, literal(f.value(defaults)))
			}
		}
	}
	write("")
	for _, s := range sections {
		fmt.Fprintf(&b, "[%s] # %s\n\n", s.name, s.doc)
		write(s.name)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// Setting is one effective value, for display.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"` // durations as text
	Text   string `json:"-"`     // as TOML
	Origin Origin `json:"origin"`
}

// Settings lists every key with its effective value and origin, in the order of
// the sample file.
func (c Config) Settings(origins Origins) []Setting {
	fields, _ := schema()
	out := make([]Setting, 0, len(fields))
	for _, f := range fields {
		v := f.value(c)
		s := Setting{Key: f.key, Value: v, Text: literal(v), Origin: origins[f.key]}
		if d, ok := v.(time.Duration); ok {
			s.Value = d.String()
		}
		out = append(out, s)
	}
	return out
}

// TOML is a configuration file that sets every key that differs from the
// default, and home never: the file lies in it.
func (c Config) TOML() string {
	fields, sections := schema()
	defaults := Default()
	var b strings.Builder
	write := func(name string) {
		header := name == ""
		for _, f := range fields {
			value := literal(f.value(c))
			if f.section() != name || f.key == "home" || value == literal(f.value(defaults)) {
				continue
			}
			if !header {
				fmt.Fprintf(&b, "\n[%s]\n", name)
				header = true
			}
			fmt.Fprintf(&b, "%s = %s\n", f.key[strings.LastIndexByte(f.key, '.')+1:], value)
		}
	}
	write("")
	for _, s := range sections {
		write(s.name)
	}
	return strings.TrimLeft(b.String(), "\n")
}

// literal writes a value as TOML.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case time.Duration:
		return quote(v.String())
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = quote(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		return fmt.Sprint(v)
	}
}

// quote writes a basic TOML string. Go's ASCII quoting differs only in \x, \a
// and \v, which the replacement below spells as TOML does.
func quote(s string) string {
	q := strconv.Quote(s)
	return strings.NewReplacer(`\\`, `\\`, `\x`, `\u00`, `\a`, `\u0007`, `\v`, `\u000b`).Replace(q)
}
