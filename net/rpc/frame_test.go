package rpc

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func reader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

func TestFramesComeBackHoweverTheyAreCutUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frames := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 5).Draw(t, "frames")
		var wire []byte
		for _, f := range frames {
			wire = appendFrame(wire, f)
		}
		r := bufio.NewReader(iotest.OneByteReader(bytes.NewReader(wire)))
		for _, f := range frames {
			got, err := readFrame(r, 300)
			require.NoError(t, err)
			require.True(t, bytes.Equal(f, got))
		}
		_, err := readFrame(r, 300)
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestLargeFrameComesBack(t *testing.T) {
	payload := bytes.Repeat([]byte("starling"), 1<<17)
	got, err := readFrame(reader(appendFrame(nil, payload)), len(payload))
	require.NoError(t, err)
	require.True(t, bytes.Equal(payload, got))
}

func TestBadFramesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		wire []byte
		want error
	}{
		"over the limit":       {appendFrame(nil, make([]byte, 101)), ErrTooLarge},
		"announces everything": {binary.AppendUvarint(nil, 1<<63), ErrTooLarge},
		"length never ends":    {bytes.Repeat([]byte{0xff}, 11), ErrMalformed},
		"length too long":      {[]byte{0x81, 0x00, 'x'}, ErrMalformed},
		"cut in the length":    {[]byte{0x80}, io.ErrUnexpectedEOF},
		"cut in the payload":   {[]byte{5, 'a'}, io.ErrUnexpectedEOF},
		"cut before it":        {[]byte{5}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readFrame(reader(c.wire), 100)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestAnnouncedSizeCostsNothing(t *testing.T) {
	wire := append(binary.AppendUvarint(nil, 1<<30), 'x')
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readFrame(reader(wire), 1<<30)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendFrame(nil, []byte("hello")))
	f.Add(appendFrame(appendFrame(nil, nil), make([]byte, 200)))
	f.Add([]byte{0x81, 0x00})
	f.Add(bytes.Repeat([]byte{0xff}, 12))
	f.Fuzz(func(t *testing.T, wire []byte) {
		const limit = 1 << 10
		r := reader(wire)
		var again []byte
		for {
			frame, err := readFrame(r, limit)
			if err != nil {
				break
			}
			if len(frame) > limit {
				t.Fatal("frame over the limit")
			}
			again = appendFrame(again, frame)
		}
		if !bytes.HasPrefix(wire, again) {
			t.Fatalf("%x was read from %x", again, wire)
		}
	})
}
