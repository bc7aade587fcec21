// Package parcel sends large values from one peer to another as erasure-coded shreds,
// with a deadline: a partially reliable channel. Look at [Channel].
//
// A lost packet holds nothing up: parity stands in for it, and what that does not cover is
// asked for. That makes it faster than a stream where packets get lost; where none do, a
// stream costs less. The receiver reserves a parcel before it is sent ([Channel.Reserve]),
// and tells the sender its number by other means, such as in the request that the parcel
// answers; nothing else is taken, so that strangers cannot fill anybody's memory.
//
// It is a Turbine of two members: the same sets, signatures and repair. The package knows
// nothing of what the values mean.
package parcel
