package private

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/crypto/stealth"
	"github.com/starlingmesh/starling/node/wallet"
)

// ErrAddress means that a text is no private address of the network, or no view key.
var ErrAddress = errors.New("not for private payments here")

// What follows the network's prefix in texts.
const (
	addressMark = "p"
	viewMark    = "v"
)

// FormatAddress writes a private address as bech32m (BIP 350), with the network's prefix and a p.
func FormatAddress(a stealth.Address, prefix string) string {
	return wallet.FormatText(a.Bytes(), prefix+addressMark)
}

// ParseAddress reads what [FormatAddress] writes. It returns [ErrAddress].
func ParseAddress(text, prefix string) (stealth.Address, error) {
	raw, err := parse(text, prefix+addressMark)
	if err != nil {
		return stealth.Address{}, err
	}
	a, err := stealth.ParseAddress(raw)
	if err != nil {
		return a, fmt.Errorf("%w: %q: %w", ErrAddress, text, err)
	}
	return a, nil
}

// FormatViewKey writes view keys, which are secret, with the network's prefix and a v.
func FormatViewKey(v stealth.ViewKeys, prefix string) string {
	return wallet.FormatText(v.ViewBytes(), prefix+viewMark)
}

// ParseViewKey reads what [FormatViewKey] writes. It returns [ErrAddress].
func ParseViewKey(text, prefix string) (*stealth.ViewKeys, error) {
	raw, err := parse(text, prefix+viewMark)
	if err != nil {
		return nil, err
	}
	v, err := stealth.ParseViewKeys(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: the view key is none: %w", ErrAddress, err)
	}
	return v, nil
}

func parse(text, mark string) ([]byte, error) {
	raw, err := wallet.ParseText(text, mark)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return raw, nil
}
