package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/knadh/koanf/parsers/toml/v2"
	gotoml "github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// setting is a value that one source gives to one key.
type setting struct {
	key    string
	value  any
	origin Origin
}

// readTOML checks a file against the schema. It returns what the file sets, and
// everything that is wrong with it.
func readTOML(path string, data []byte, fields []field, sections []section) ([]setting, error) {
	tree, err := toml.Parser().Unmarshal(data)
	if err != nil {
		if syntax, ok := errors.AsType[*gotoml.DecodeError](err); ok {
			line, column := syntax.Position()
			return nil, fmt.Errorf("%s:%d:%d: %s", path, line, column, strings.TrimPrefix(syntax.Error(), "toml: "))
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	lines := linesOf(data)
	var settings []setting
	var faults []error
	flatten("", tree, sections, func(key string, v any) {
		at := fmt.Sprintf("%s:%d", path, lines[key])
		f, known := find(fields, key)
		if !known {
			faults = append(faults, fmt.Errorf("%s: unknown key %s%s", at, key, suggest(key, names(fields, sections))))
			return
		}
		value, err := f.convert(v)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %s: %w", at, key, err))
			return
		}
		settings = append(settings, setting{key, value, Origin{SourceFile, at}})
	})
	return settings, errors.Join(sortByLine(faults)...)
}

// flatten walks the sections that exist; whatever else is a table is reported
// as one unknown key, not as many.
func flatten(prefix string, tree map[string]any, sections []section, visit func(string, any)) {
	for name, v := range tree {
		sub, isTable := v.(map[string]any)
		known := prefix == "" && isSection(sections, name)
		if isTable && known {
			flatten(name+".", sub, sections, visit)
			continue
		}
		visit(prefix+name, v)
	}
}

func isSection(sections []section, name string) bool {
	for _, s := range sections {
		if s.name == name {
			return true
		}
	}
	return false
}

func find(fields []field, key string) (field, bool) {
	for _, f := range fields {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

func names(fields []field, sections []section) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.key)
	}
	for _, s := range sections {
		out = append(out, s.name)
	}
	return out
}

// linesOf maps the keys and tables of a well-formed file to the lines they
// stand on.
func linesOf(data []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		var parts []string
		line := 0
		for it := e.Key(); it.Next(); {
			if line == 0 {
				line = p.Shape(it.Node().Raw).Start.Line
			}
			parts = append(parts, string(it.Node().Data))
		}
		key := strings.Join(parts, ".")
		if e.Kind != unstable.KeyValue {
			table = key + "."
		} else {
			key = table + key
		}
		// "a.b.c = 1" also stands for a and a.b, wherever they appear first.
		for i := range len(key) + 1 {
			if i == len(key) || key[i] == '.' {
				if _, seen := lines[key[:i]]; !seen {
					lines[key[:i]] = line
				}
			}
		}
	}
	return lines
}
