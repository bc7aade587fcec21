// Package ledger is the state machine: it turns decided transactions into
// changes of state and receipts.
//
// Look at [Ledger.Execute] first. It is a pure function of a block and the state
// before it. It reads no clock, starts no goroutine and does no I/O beyond the
// [Reader] it is handed. Signatures are verified before transactions come here.
// The package must never import a store, a network or a consensus engine.
//
// # State
//
//	a/<address>  an [Account]: balance in drops, the next sequence number, who signs
//	w/<address>  the typed public key that signs for the account, if that was changed
//	m/supply     coins that exist now, in drops
//	m/burned     coins burned since genesis, in drops
//	m/shielded   coins in confidential outputs, in drops; absent before the first
//	m/outputs    how many confidential outputs there ever were; absent before the first
//	o/<number>   an [Output], numbered in the order of the chain, 8 bytes big-endian
//	i/<image>    the height at which a key image was shown: what it stands for is spent
//
// supply + burned is the genesis supply for ever, and the supply is what accounts, stakes and
// confidential outputs hold. The totals are written once
// a block, from the sum of what each transaction burned: no transaction reads or
// writes them, so they do not make transactions depend on each other.
//
// # What happens to a transaction
//
// Every transaction of a block gets exactly one [Receipt] with one [Code]:
//
//   - Not applied. The chain id, expiry, fee, sender, sequence and the sender's
//     balance are looked at, in this order, by the same rule that [Ledger.Check]
//     applies for the pool. Whoever fails here changes nothing and pays nothing,
//     and the same transaction may come again in a later block.
//   - Fee claimed. The declared fee is burned and the sender's sequence advances;
//     the body has no effect. The transaction is final.
//   - Applied. Fee, sequence and the body's whole effect, all or nothing.
//
// A payment of amount X with fee F from a balance of B, with the reserve R, is
// applied if B - X >= max(R, F): what a sender keeps must reach the reserve, but
// the fee may dig into it. An account below the reserve can still pay fees, so a
// sequence can always be used up. A payment that would create an account needs
// X >= R. A payment to oneself is useful for nothing, costs its fee, and is
// refused rather than ignored so that no later rule has to think about it.
//
// A transaction without a sender (types.Anonymous) has no account that could pay for a failure:
// it is applied as a whole, or not at all. That it makes no coins, and that who signed may spend
// what is spent, is proved by cryptography, and verified before transactions come here
// ([Block].Proven); that nothing is spent twice, that rings name what may be in them, and that no
// more leaves the pool than went in, is seen to here.
//
// Accounts are never deleted. A new account starts at sequence 0; were deletion
// ever added, a new account would have to start above every sequence the
// address had used, or old transactions could be replayed.
//
// # Declared access
//
// A transaction runs on a view that holds exactly the keys that its body
// declares (types.Body.Access) and its sender's account. Touching any other key
// is refused: [AccessViolation], the fee is claimed. So what a transaction can
// depend on is known before it runs, which is what running independent ones at
// the same time will rest on.
//
// # Invariants
//
// After every transaction, in production, the registry in invariants.go compares
// each touched entry before and after. A violation undoes the body and claims
// the fee ([InvariantBroken]); if claiming the fee alone violates as well,
// nothing is applied ([FeeInvariantBroken]). Either way [Result.Defects] says
// what is wrong: it is an error in this program, to be logged loudly.
package ledger
