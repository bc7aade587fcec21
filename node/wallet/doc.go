// Package wallet keeps accounts on disk and acts for them: it pays and stakes.
//
// Look at [Wallet], a folder of encrypted key files, and [Sender], which builds,
// signs and hands in transactions through a node's API. The package never prints,
// never asks for a passphrase, and keeps no secret longer than a call.
package wallet
