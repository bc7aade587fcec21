// Package sim runs whole networks of pure consensus cores in one goroutine, on a
// virtual clock and a virtual network. Look at [Schedule], the experiment, and [Run]
// first.
//
// A network may lose, delay, reorder, duplicate and cut, one way or both; clocks may
// be wrong; replicas may crash at any write to the vote log and restart; validators
// may run twice ([Schedule].Twins), or lie with the [Tricks] that the schedule names.
//
// Everything follows from the schedule, chance included. [Random] draws schedules of
// all sorts, [Siege] attacks that aim at a fork; the subpackages twins and search make
// and run many, and mutants proves that they find what they are to find.
//
// The laws ([ErrFork], [ErrOrder], [ErrPromise], [ErrBlock], [ErrBlame]) are checked
// after every effect of every honest replica, from their definitions and with none of
// the core's code; liveness ([ErrStall]) once the network has become timely. What
// breaks one is a script ([Schedule.String], [Parse]), which [Shrink] makes as small
// as it can and `go test -run TestScriptFile -script FILE` replays.
//
// The network plays what drivers guarantee and no more: proposals are signed by their
// proposers, votes come from their voters, and fetched blocks link up to what was
// asked for. The package imports chain/consensus cores and chain/types; never a
// driver, a clock or a network.
package sim
