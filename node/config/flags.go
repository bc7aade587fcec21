package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// BindFlags adds a flag for every key, such as --p2p-max-peers for
// p2p.max_peers, except --home, which all commands of the program share, and
// those that exist already.
func BindFlags(flags *pflag.FlagSet) {
	fields, _ := schema()
	defaults := Default()
	for _, f := range fields {
		name := f.flag()
		if name == "home" || flags.Lookup(name) != nil {
			continue
		}
		switch v := f.value(defaults).(type) {
		case string:
			flags.String(name, v, f.doc)
		case bool:
			flags.Bool(name, v, f.doc)
		case time.Duration:
			flags.Duration(name, v, f.doc)
		case []string:
			flags.StringSlice(name, v, f.doc)
		case int:
			flags.Int(name, v, f.doc)
		case int64:
			flags.Int64(name, v, f.doc)
		case uint64:
			flags.Uint64(name, v, f.doc)
		}
	}
}

func readFlags(flags *pflag.FlagSet, fields []field) ([]setting, error) {
	if flags == nil {
		return nil, nil
	}
	var settings []setting
	var faults []error
	for _, f := range fields {
		flag := flags.Lookup(f.flag())
		if flag == nil || !flag.Changed {
			continue
		}
		text := flag.Value.String()
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			text = strings.Join(list.GetSlice(), ",")
		}
		value, err := f.parse(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("--%s: %w", flag.Name, err))
			continue
		}
		settings = append(settings, setting{f.key, value, Origin{SourceFlag, "--" + flag.Name}})
	}
	return settings, errors.Join(faults...)
}
