// Package dhtsim runs rings of a thousand members and what they store in virtual time, one
// goroutine, from a seed: latency, churn, partitions. Look at [World].
//
// It is the pure cores of dht/ring and dht/store as they run in a node; only the network is
// made up.
package dhtsim
