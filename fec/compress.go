package fec

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The codecs.
const (
	Plain Codec = iota
	S2
	LZ4
	Zstd
	codecs = Zstd
)

// String names the codec.
func (c Codec) String() string {
	switch c {
	case Plain:
		return "none"
	case S2:
		return "s2"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// ParseCodec reads a name.
func ParseCodec(name string) (Codec, error) {
	for c := Plain; c <= codecs; c++ {
		if c.String() == name {
			return c, nil
		}
	}
	return 0, fmt.Errorf("%w: %q: use none, s2, lz4 or zstd", ErrCodec, name)
}

const (
	trialBytes = 64 << 10
	// worthwhile is what a trial must save, in percent, for compression to pay.
	worthwhile = 10
)

// Choose says how to compress a payload: by want, unless a quick trial on its middle saves
// less than a tenth.
func Choose(want Codec, payload []byte) Codec {
	if want == Plain {
		return Plain
	}
	at := max(0, len(payload)/2-trialBytes/2)
	sample := payload[at:min(len(payload), at+trialBytes)]
	if len(s2.Encode(nil, sample))*100 > len(sample)*(100-worthwhile) {
		return Plain
	}
	return want
}

// Pack wraps out so that what is written to it leaves compressed. Close flushes, and does
// not close out.
func Pack(c Codec, out io.Writer) (io.WriteCloser, error) {
	switch c {
	case Plain:
		return nopCloser{out}, nil
	case S2:
		return s2.NewWriter(out), nil
	case LZ4:
		return lz4.NewWriter(out), nil
	case Zstd:
		w, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedDefault))
		if err != nil {
			return nil, fmt.Errorf("compress: %w", err)
		}
		return w, nil
	}
	return nil, fmt.Errorf("%w: %d", ErrCodec, c)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// Unpack reads everything that was packed into in, at most limit bytes: more is
// ErrTooLarge, however small the packed form is. It is faster if in has a Len method, as
// bytes.Reader does.
func Unpack(c Codec, in io.Reader, limit int) ([]byte, error) {
	r := in
	switch c {
	case Plain:
	case S2:
		r = s2.NewReader(in, s2.ReaderMaxBlockSize(4<<20))
	case LZ4:
		r = lz4.NewReader(in)
	case Zstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(16<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		defer z.Close()
		r = z
	default:
		return nil, fmt.Errorf("%w: %d", ErrCodec, c)
	}
	var out bytes.Buffer
	if sized, ok := in.(interface{ Len() int }); ok { // packing makes nothing larger, or hardly
		out.Grow(min(limit, sized.Len()) + bytes.MinRead)
	}
	if _, err := out.ReadFrom(io.LimitReader(r, int64(limit)+1)); err != nil {
		return nil, fmt.Errorf("decompress %s: %w", c, err)
	}
	if out.Len() > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return out.Bytes(), nil
}
