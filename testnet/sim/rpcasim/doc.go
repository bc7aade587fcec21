// Package rpcasim runs whole networks of rpca cores in one goroutine, on a virtual
// clock and a virtual network that loses, delays, reorders, duplicates and
// partitions, with nodes whose clocks differ, that crash at each write to disk
// and restart, and, if asked for, some that equivocate. Look at [Run] first.
//
// Everything follows from one seed: a run that breaks a law is replayed exactly
// by its [Schedule]. Safety is checked after every effect, liveness once the
// network has become timely. The package imports the core, never its driver.
package rpcasim
