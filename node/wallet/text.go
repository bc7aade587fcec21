package wallet

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/bech32"
)

// ErrText means that a text is not what is wanted, or was mistyped.
var ErrText = errors.New("not readable here")

// FormatText writes bytes as bech32m (BIP 350) of any length after a mark, which says what they are
// and for which network. In capitals it fits the compact form of a QR code.
func FormatText(raw []byte, mark string) string {
	data, _ := bech32.ConvertBits(raw, 8, 5, true) // cannot fail for whole bytes
	s, err := bech32.EncodeM(mark, data)
	if err != nil { // the prefixes of networks are valid
		return ""
	}
	return s
}

// ParseText reads what [FormatText] writes. It returns [ErrText].
func ParseText(text, mark string) ([]byte, error) {
	have, raw, err := splitText(text)
	if err == nil && have != mark {
		err = fmt.Errorf("%w: it begins with %q, want %q", ErrText, have, mark)
	}
	return raw, err
}

// splitText reads a text of any mark.
func splitText(text string) (mark string, raw []byte, err error) {
	mark, data, version, err := bech32.DecodeNoLimitWithVersion(text)
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("%w: %w (mistyped?)", ErrText, err)
	case version != bech32.VersionM:
		return "", nil, fmt.Errorf("%w: old bech32 checksum, want bech32m", ErrText)
	}
	if raw, err = bech32.ConvertBits(data, 5, 8, false); err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrText, err)
	}
	return mark, raw, nil
}
