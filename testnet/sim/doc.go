// Package sim runs whole networks of pure consensus cores in one goroutine, on a
// virtual clock and a virtual network that loses, delays, reorders, duplicates
// and partitions, with replicas that crash and restart and, if asked for, one
// that lies. Look at [Run] first.
//
// Everything follows from one seed: a run that breaks a law is replayed exactly
// by its [Schedule]. Safety is checked after every effect, liveness once the
// network has become timely. The package imports chain/consensus cores and
// chain/types; never a driver, a clock or a network.
package sim
