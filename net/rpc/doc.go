// Package rpc sends typed messages to one peer over libp2p streams: requests that
// are answered ([Serve], [Call]) and one-way messages ([Mailbox]).
//
// Both directions have size caps and deadlines, and a peer that sends rubbish pays
// for it in score. The package knows nothing of what the messages mean.
package rpc
