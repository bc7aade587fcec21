// Package keystore keeps one secret in one file, encrypted under a passphrase.
//
// Look at [Seal] and [Open] first; [Write], [Read] and [List] put sealed files on
// disk. A file is JSON of one exact form:
//
//	{
//	  "format": "starling-keystore", "version": 1,
//	  "name": ..., "kind": ..., "label": ..., "created": ...,
//	  "kdf": {"name": "argon2id", "memory_kib": ..., "passes": ..., "lanes": ..., "salt": ...},
//	  "cipher": {"name": "aes-256-gcm", "nonce": ...},
//	  "secret": ciphertext and tag, hexadecimal,
//	  "checksum": BLAKE2b-256 of everything before this line
//	}
//
// Instead of Argon2id, kdf may be {"name": "pbkdf2-hmac-sha256", "iterations": ..., "salt": ...}.
//
// The passphrase goes through Argon2id (RFC 9106) or PBKDF2 (RFC 8018) to the key of AES-256-GCM,
// which encrypts the secret and authenticates all other fields. The checksum has
// no part in security; it tells a damaged file from a wrong passphrase, so that
// nobody tries passphrases on a file that none can open.
//
// The package does not know what the secret is, prints nothing, reads no clock,
// and asks for no passphrase. It imports nothing of the project but crypto/hash.
package keystore
