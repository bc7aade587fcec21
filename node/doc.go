// Package node is the composition root: it makes one running node out of the
// packages below. Look at [New], which reads as the table of contents of the
// system, and then at [Node.Run].
//
// Nothing but testnet and cmd may import it. It holds wiring and the few pieces
// that exist only where chain, network and API meet: the gossip validators, the
// payload of proposals, and what the API shows.
package node
