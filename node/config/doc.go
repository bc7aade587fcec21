// Package config is what an operator may set on a node: one documented struct,
// filled from defaults, a TOML file, STARLING_ environment variables and
// command-line flags, each overriding the one before.
//
// Look at [Config] first, then [Load]. Every mistake in a source is reported at
// once, with its place and, for a misspelt name, the nearest right one. The
// package starts nothing and opens nothing but the configuration file; it
// imports no other package of the project.
package config
