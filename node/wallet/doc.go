// Package wallet keeps accounts on disk and pays from them.
//
// Look at [Wallet], a folder of encrypted key files, and [Sender], which builds,
// signs and hands in payments through a node's API. The package never prints,
// never asks for a passphrase, and keeps no secret longer than a call.
package wallet
