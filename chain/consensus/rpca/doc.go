// Package rpca is the core of the XRP Ledger consensus (Schwartz, Youngs, Britto
// 2014; Chase and MacBrough, arXiv 1802.07242, 2018), as a deterministic state
// machine. Look at [Core] first, then at [Event] and [Effect]. docs/RPCA.md says
// what the protocol promises and what not.
//
// # Use
//
// A driver owns one [Core] and calls [Core.Step] with the present time and one
// event. Step returns effects, which the driver carries out in the order given.
// A [Persist] must be on disk before any effect after it is carried out: then a
// restarted validator ([New] with the records) never contradicts itself.
//
// # The protocol in short
//
// Ledgers are made in rounds, one on top of another; nobody leads. Each node
// has a list of validators that it trusts not to collude. A round has phases:
//
//	open       transactions gather. The ledger closes when there is work, when
//	           most of the list closed it, or after the idle interval.
//	establish  each validator signs a position: the hash of a transaction set
//	           and a close time. With every tick it drops disputed transactions
//	           that too few positions contain, and adds those that enough do:
//	           50% at first, 5 points more each tick, up to 80%.
//	accept     80% of the list hold one position, set and time. Everybody builds
//	           the same ledger of it, signs a validation, and opens the next.
//
// A ledger is final when 80% of the list signed full validations of it, or of a
// ledger that descends from it. Agreement alone makes nothing final.
//
// A round that goes nowhere expires. The validator then signs a partial
// validation, which counts towards no finality but says which height it will
// sign no more, and begins the round again.
//
// # When ledgers split
//
// Two validators may see agreement on different positions. Each follows the
// branch that its list prefers: from the last final ledger upward, always the
// child that most of the list works on, as long as these are so many that one of
// them is honest, and validates what it comes to. A validator that signed a full validation of one branch signs
// none of another before it has seen, for each of its own ledgers there, that so
// many of the list cannot have validated it that it never becomes final by its
// own validations (see Core.excluded). With one common list this keeps finality
// safe whatever the network does, as long as at most a fifth of the list lies;
// with different lists it rests on their overlap ([CheckOverlap]).
//
// # What it never does
//
// No I/O, no clock, no goroutine, no randomness. It trusts the driver that the
// signatures of positions and validations were checked, checks certificates
// itself, and knows nothing of what transactions say. It never imports net, store
// or node packages.
package rpca
