// Package twins makes the scenarios of Twins (Bano, Sonnino, Chursin, Perelman, Li,
// Ching, Malkhi: "Twins: BFT Systems Made Robust", arXiv 2004.10617) for testnet/sim.
// Look at [Space] first.
//
// A Byzantine validator is played by twins: two unmodified replicas with one key,
// each with a disk of its own. Neither breaks a rule, but together they equivocate,
// vote twice and forget their locks. What an adversary can do with them is choose,
// view by view, who leads and who hears whom; a scenario is one such choice, and a
// space is all scenarios within a bound, which are counted, listed in full, or drawn
// without bias.
//
// The package makes schedules and runs none. It never imports a driver.
package twins
