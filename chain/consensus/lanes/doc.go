// Package lanes lets every validator lead all the time: each makes batches of
// transactions in a lane of its own and ships them to all others, while consensus
// orders only small certificates that the batches can be had. It is a deterministic
// state machine; look at [Core] first, then at [Event] and [Effect].
//
// # The protocol in short
//
//	lane leader      batch (hash-linked, signed) ──► all validators
//	each validator   stores it and all below it, then ──► acknowledgement (BLS)
//	lane leader      more than a third of the power acknowledged ──► certificate ──► all
//	leader of a view puts the newest certificate of each lane into its block: the cut
//	everyone         block decided ──► fetches what is missing ──► batches in order
//
// More than a third of the power holds an honest validator, so a certified batch, and
// with it everything below it in its lane, can always be fetched; voting never waits
// for that (Narwhal, Danezis et al., EuroSys 2022; Autobahn, Giridharan et al., SOSP
// 2024). A cut orders, lane by lane in ascending order, the batches above the lane's
// last cut. Lanes begin anew with every epoch.
//
// A lane leader that makes two batches at one height can be proven guilty
// (types.DoubleBatch) by whoever sees both. Both may even be certified, since a third
// of the power suffices; the cut that is decided first says which branch counts up to
// its height, and what a later cut adds counts from there on, for everyone alike.
//
// Every batch extends its lane's proof of history (crypto/poh) by a few ticks, as
// many as its header says, and its transactions: so a lane's chronology is fixed,
// that of different lanes relative to each other is not.
//
// # What it never does
//
// No I/O, no clock, no goroutine, no randomness. It trusts its driver that a batch's
// signature and transactions were checked. It never imports net, store or node
// packages.
package lanes
