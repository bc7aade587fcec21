// Package hotstuff is the core of chained HotStuff (Yin, Malkhi, Reiter, Gueta,
// Abraham, PODC 2019) with timeout certificates, as a deterministic state
// machine. Look at [Core] first, then at [Event] and [Effect].
//
// # Use
//
// A driver owns one [Core] and calls [Core.Step] with the present time and one
// event: a proposal or a vote that came in, a timer that ran out, blocks that
// were fetched. Step returns effects, values that say what is to happen, and
// the driver carries them out in the order given:
//
//	for ev := range events {
//		for _, effect := range core.Step(time.Now(), ev) {
//			switch e := effect.(type) {
//			case hotstuff.Persist:   // append to the vote log AND sync it
//			case hotstuff.Broadcast: // gossip the proposal
//			case hotstuff.SendVote:  // to one validator, straight
//			...
//
// A [Persist] must be on disk before any effect after it is carried out. That
// order is the whole of crash safety: a vote that somebody has seen can be read
// back, so a restarted replica ([New] with the records) never contradicts it.
//
// # The protocol in short
//
// Time is cut into views; [Schedule] names the leader of each. The leader of
// view v proposes one block that extends the block with the highest quorum
// certificate (QC) it knows. Replicas that find the proposal safe vote, straight
// to the leader of view v+1, who aggregates a QC, which starts view v+1. So each
// proposal carries the QC for its parent, and one block's next phase is its
// descendants' earlier phase:
//
//	view   v        v+1          v+2         v+3
//	       PREPARE  PRECOMMIT    COMMIT      DECIDE     of the block of view v
//	                PREPARE      PRECOMMIT   COMMIT     of the block of view v+1
//
// With the three-phase rule a block is decided when it heads three certified
// blocks of consecutive views; with the two-phase rule (Jolteon; Gelashvili et
// al. 2022) two suffice, at the price that a proposal after a timeout must carry
// a timeout certificate (TC) which proves that it extends the highest QC among a
// quorum. See [ThreePhase] and [TwoPhase].
//
// A view that does not end in time is given up: replicas broadcast timeouts,
// and a quorum of them makes a TC, which starts the next view. A timeout also
// carries its sender's last vote, so that the QC of the view before survives
// the crash of the leader that was to collect it; without this four validators,
// one of them down, would never see three consecutive certified views.
//
// # What it never does
//
// No I/O, no clock, no goroutine, no randomness: two cores fed the same events
// return the same effects. It trusts the driver that a [Proposal]'s signature
// and transactions were checked, and checks all certificates itself through
// [Scheme]. It never imports net, store or node packages.
package hotstuff
