// Package ring keeps members in a ring by identifier, as Chord does (Stoica et al. 2001), in
// the variant that Pamela Zave proved correct ("Reasoning about identifier spaces: How to
// make Chord correct", IEEE TSE 2017, arXiv 1610.01140). Look at [Core], then at [Member],
// which adds timers, fingers and lookups.
//
// Every member knows its predecessor and the r members that follow it. It stabilises now and
// then: it asks its successor for what follows that one, adopts it, looks whether somebody
// has come in between, and tells its successor of itself, who then rectifies its
// predecessor. As long as every member keeps one live successor, and there are r+1
// members that nobody's list skips, the ring stays one ring, and without changes becomes
// ideal. So a ring begins with r+1 members at once ([Core.Begin]); everybody else joins. Where
// there are not so many, or where rings have come apart, members learn of each other from
// elsewhere ([Core.Offer]).
//
// A [Core] is a deterministic state machine: its methods are events, and return what is to be
// sent. It does no I/O and reads no clock. An identifier is the hash of a peer's identity,
// which everybody computes: nobody can choose its place.
package ring
