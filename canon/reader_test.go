package canon

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// parcel is what the reader is tried on beside Unmarshal.
type parcel struct {
	_     struct{} `cbor:",toarray"`
	Head  Raw
	Items [][]byte
	Tail  []byte
}

func readParcel(data []byte) (p parcel, err error) {
	r := Read(data)
	r.Struct(3)
	p.Head, p.Items, p.Tail = r.Raw(), r.List(), r.Bytes()
	return p, r.Done()
}

func TestReaderReadsWhatMarshalWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{0, 1, 23, 24, 255, 256, 65535, 65536})
		in := parcel{Head: MustMarshal(sample{Data: []byte{1}, List: []uint32{7}}), Items: [][]byte{}, Tail: make([]byte, size.Draw(t, "tail"))}
		for range rapid.IntRange(0, 30).Draw(t, "items") {
			in.Items = append(in.Items, make([]byte, size.Draw(t, "item")))
		}
		out, err := readParcel(MustMarshal(in))
		require.NoError(t, err)
		require.Equal(t, in, out)
	})
}

func TestReaderRefusesWhatIsNotCanonical(t *testing.T) {
	for name, b := range map[string][]byte{
		"length longer than needed": {0x83, 0x01, 0x80, 0x58, 0x01, 0x00},
		"array longer than needed":  {0x98, 0x03, 0x01, 0x80, 0x40},
		"null for an empty list":    {0x83, 0x01, 0xf6, 0x40},
		"null for an empty string":  {0x83, 0x01, 0x80, 0xf6},
		"indefinite list":           {0x83, 0x01, 0x9f, 0xff, 0x40},
		"indefinite string":         {0x83, 0x01, 0x80, 0x5f, 0xff},
		"trailing byte":             {0x83, 0x01, 0x80, 0x40, 0x00},
		"missing field":             {0x82, 0x01, 0x80},
		"extra field":               {0x84, 0x01, 0x80, 0x40, 0x40},
		"text for bytes":            {0x83, 0x01, 0x80, 0x60},
		"announced beyond the end":  {0x83, 0x01, 0x80, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"list beyond the end":       {0x83, 0x01, 0x9a, 0x00, 0x10, 0x00, 0x00, 0x40},
		"cut in a head":             {0x83, 0x01, 0x80, 0x59, 0x01},
		"reserved argument":         {0x83, 0x01, 0x80, 0x5c},
		"empty":                     {},
	} {
		_, err := readParcel(b)
		require.Error(t, err, name)
	}
	_, err := readParcel(append([]byte{0x83, 0x01, 0x9a, 0x00, 0x10, 0x00, 0x01}, bytes.Repeat([]byte{0x40}, 1<<20+2)...))
	require.ErrorIs(t, err, ErrShape, "too many elements")
}

func TestReaderReadsIntegersInTheirShortestForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64().Draw(t, "n") >> rapid.IntRange(0, 63).Draw(t, "shift")
		r := Read(MustMarshal(n))
		require.Equal(t, n, r.Uint())
		require.NoError(t, r.Done())
	})
	for _, bad := range [][]byte{{0x18, 23}, {0x19, 0, 255}, {0x1a, 0, 0, 255, 255}, {0x1b, 0, 0, 0, 0, 255, 255, 255, 255}, {0x20}, {0x1c}, {}} {
		r := Read(bad)
		require.Zero(t, r.Uint())
		require.Error(t, r.Done())
	}
}

func TestReaderReadsTruthValuesAndNull(t *testing.T) {
	r := Read(MustMarshal([]any{true, false, nil, 1}))
	r.Struct(4)
	require.False(t, r.Null())
	require.True(t, r.Bool())
	require.False(t, r.Bool())
	require.True(t, r.Null())
	require.False(t, r.Null())
	require.EqualValues(t, 1, r.Uint())
	require.NoError(t, r.Done())
	for _, bad := range [][]byte{{0xf6}, {0xf7}, {0xf8, 21}, {0x01}, {}} {
		r := Read(bad)
		require.False(t, r.Bool())
		require.ErrorIs(t, r.Done(), ErrShape)
	}
}

// The reader accepts nothing that Unmarshal would refuse, but for the item that is raw,
// and nothing that decodes to another value.
func FuzzReader(f *testing.F) {
	f.Add([]byte{0x83, 0x01, 0x81, 0x42, 0x01, 0x02, 0x41, 0x00})
	f.Add(MustMarshal(parcel{Head: Raw{0x01}, Items: [][]byte{make([]byte, 300)}, Tail: []byte{}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readParcel(data)
		var want parcel
		if wrong := Unmarshal(data, &want); wrong == nil && want.Items != nil && want.Tail != nil && !hasNil(want.Items) {
			require.NoError(t, err)
			require.Equal(t, want, got)
		} else if err == nil {
			again := got
			require.Equal(t, data, MustMarshal(again), "one encoding, but for the raw item, which stays as it is")
		}
	})
}

func hasNil(items [][]byte) bool {
	for _, i := range items {
		if i == nil {
			return true
		}
	}
	return false
}
