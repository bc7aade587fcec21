// Package types holds the words of the chain: addresses, amounts, transactions,
// blocks, certificates, validators and the genesis file, with their one
// canonical encoding (package canon) and their hashes.
//
// Look at [Tx] and [Block] first. Nothing here does I/O, reads a clock or knows
// which consensus engine runs. The package imports only crypto and canon.
package types
