package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is one key of the configuration, as found in [Config] by reflection.
type field struct {
	key   string // "p2p.max_peers"
	doc   string
	kind  kind
	index []int // in Config, for reflect
}

// kind is what a key's value must be.
type kind string

const (
	kindText     kind = "text in quotes"
	kindBool     kind = "true or false"
	kindInt      kind = "a whole number"
	kindDuration kind = `a duration in quotes, such as "1s"`
	kindList     kind = "a list of texts, such as [\"a\", \"b\"]"
)

// section is a top-level table of the file.
type section struct{ name, doc string }

// schema lists every key in the order of the struct.
func schema() (fields []field, sections []section) {
	for _, top := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		name := top.Tag.Get("koanf")
		if top.Type.Kind() != reflect.Struct {
			fields = append(fields, field{name, top.Tag.Get("doc"), kindOf(top.Type), top.Index})
			continue
		}
		sections = append(sections, section{name, top.Tag.Get("doc")})
		for _, f := range reflect.VisibleFields(top.Type) {
			index := append(append([]int{}, top.Index...), f.Index...)
			fields = append(fields, field{name + "." + f.Tag.Get("koanf"), f.Tag.Get("doc"), kindOf(f.Type), index})
		}
	}
	return fields, sections
}

func kindOf(t reflect.Type) kind {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return kindDuration
	case t.Kind() == reflect.Bool:
		return kindBool
	case t.Kind() == reflect.Slice:
		return kindList
	case t.Kind() == reflect.String:
		return kindText
	default:
		return kindInt
	}
}

func (f field) env() string  { return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_")) }
func (f field) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(f.key) }

func (f field) section() string {
	s, _, ok := strings.Cut(f.key, ".")
	if !ok {
		return ""
	}
	return s
}

// value reads the field out of a configuration.
func (f field) value(c Config) any { return reflect.ValueOf(c).FieldByIndex(f.index).Interface() }

// parse reads the field's value from text, as environment and flags give it.
func (f field) parse(text string) (any, error) {
	switch f.kind {
	case kindBool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b, nil
		}
	case kindInt:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return f.inRange(n)
		}
	case kindDuration:
		return f.duration(text)
	case kindList:
		list := []string{}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list, nil
	default:
		return text, nil
	}
	return nil, fmt.Errorf("want %s, have %q", f.kind, text)
}

// convert checks a value that the TOML parser made and gives it its final type.
func (f field) convert(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if f.kind == kindText {
			return v, nil
		}
		if f.kind == kindDuration {
			return f.duration(v)
		}
	case bool:
		if f.kind == kindBool {
			return v, nil
		}
	case int64:
		if f.kind == kindInt {
			return f.inRange(v)
		}
	case []any:
		if f.kind != kindList {
			break
		}
		list := make([]string, 0, len(v))
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("want %s, have %s among them", f.kind, describe(item))
			}
			list = append(list, s)
		}
		return list, nil
	}
	return nil, fmt.Errorf("want %s, have %s", f.kind, describe(v))
}

func (f field) duration(text string) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("want %s, have %q", f.kind, text)
	}
	return d, nil
}

// inRange refuses numbers that the field's type cannot hold.
func (f field) inRange(n int64) (any, error) {
	t := reflect.TypeFor[Config]().FieldByIndex(f.index).Type
	v := reflect.New(t).Elem()
	if v.CanUint() {
		if n < 0 || v.OverflowUint(uint64(n)) {
			return nil, fmt.Errorf("want a whole number of 0 or more, have %d", n)
		}
		return uint64(n), nil
	}
	if v.OverflowInt(n) {
		return nil, fmt.Errorf("%d is too large", n)
	}
	return n, nil
}

func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the text %q", v)
	case bool:
		return strconv.FormatBool(v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return fmt.Sprintf("%v", v)
	}
}
