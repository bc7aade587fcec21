// Package sync brings a node up to date: one that starts late, was down, or
// missed a block. Look at [Syncer] and [Server].
//
// The engine says what it lacks; the syncer fetches it, from several peers at
// once when much is missing, and hands it to the engine in order of height. The
// engine checks every certificate before it believes a block, so a lying peer
// can waste time, and is blamed for it, but cannot deceive. The package imports
// no network code: it is given peers behind [Peers].
package sync
