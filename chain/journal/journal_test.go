package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/hash"
)

func open(t require.TestingT, dir string, opts Options) *Journal {
	j, err := Open(dir, opts)
	require.NoError(t, err)
	return j
}

func records(t require.TestingT, j *Journal) (out []string) {
	require.NoError(t, j.Replay(func(_ uint64, r []byte) error {
		out = append(out, string(r))
		return nil
	}))
	return out
}

func fill(t require.TestingT, dir string, n int) []string {
	j := open(t, dir, Options{})
	var want []string
	for i := range n {
		r := fmt.Sprintf("record %d %s", i, bytes.Repeat([]byte("x"), i))
		_, err := j.Append([]byte(r))
		require.NoError(t, err)
		want = append(want, r)
	}
	require.NoError(t, j.Close())
	return want
}

func onlySegment(t require.TestingT, dir string) string {
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	require.NoError(t, err)
	require.Len(t, names, 1)
	return names[0]
}

func TestFlippedBitIsDetected(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 4)
	path := onlySegment(t, dir)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		_, err := Open(dir, Options{})
		require.Error(t, err, "bit %d", i)
		require.ErrorIs(t, err, ErrDamaged, "bit %d", i)
	}
}

func TestTornTailIsCutOff(t *testing.T) {
	dir := t.TempDir()
	want := fill(t, dir, 4)
	path := onlySegment(t, dir)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for size := range len(good) {
		for _, zeros := range []int{0, 1, 40} {
			require.NoError(t, os.WriteFile(path, append(bytes.Clone(good[:size]), make([]byte, zeros)...), 0o600))
			j, err := Open(dir, Options{})
			if zeros > 0 && errors.Is(err, ErrDamaged) {
				continue // zeros after half a record: refusing is safe
			}
			require.NoError(t, err, "%d bytes and %d zeros", size, zeros)
			have := records(t, j)
			require.Equal(t, want[:len(have)], append([]string{}, have...))
			_, err = j.Append([]byte("next"))
			require.NoError(t, err)
			require.NoError(t, j.Close())
			j = open(t, dir, Options{})
			require.Equal(t, append(append([]string{}, have...), "next"), records(t, j))
			require.NoError(t, j.Close())
		}
	}
}

func TestDamageInAnEarlierSegmentIsNotATornTail(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{SegmentBytes: 100})
	for range 6 {
		_, err := j.Append(make([]byte, 40))
		require.NoError(t, err)
	}
	require.NoError(t, j.Close())
	first := filepath.Join(dir, fmt.Sprintf("%020d%s", 0, suffix))
	info, err := os.Stat(first)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(first, info.Size()-3))
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrDamaged)
	require.NoError(t, os.Remove(filepath.Join(dir, fmt.Sprintf("%020d%s", 2, suffix))))
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrDamaged, "a file is missing")
}

func TestJournalBelongsToOneChainAndOneProcess(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{Label: hash.Sum("a")})
	_, err := Open(dir, Options{Label: hash.Sum("a")})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, j.Close())
	_, err = Open(dir, Options{Label: hash.Sum("b")})
	require.ErrorIs(t, err, ErrForeign)
	require.NoError(t, j.Close(), "closing twice is harmless")
	_, err = j.Append(nil)
	require.ErrorIs(t, err, ErrClosed)
}

// fullDisk writes only so many bytes.
type fullDisk struct {
	writer
	room int
}

func (d *fullDisk) Write(b []byte) (int, error) {
	if len(b) > d.room {
		n, _ := d.writer.Write(b[:d.room])
		return n, syscall.ENOSPC
	}
	d.room -= len(b)
	return d.writer.Write(b)
}

func TestFullDiskLeavesNoHalfRecord(t *testing.T) {
	dir := t.TempDir()
	disk := &fullDisk{room: headerBytes + 3*(frameBytes+10) + 5}
	real := openFile
	openFile = func(path string, flag int) (writer, error) {
		f, err := real(path, flag)
		disk.writer = f
		return disk, err
	}
	defer func() { openFile = real }()
	j := open(t, dir, Options{})
	record := []byte("0123456789")
	for range 3 {
		_, err := j.Append(record)
		require.NoError(t, err)
	}
	_, err := j.Append(record)
	require.ErrorIs(t, err, syscall.ENOSPC)
	disk.room = 1 << 20
	_, err = j.Append([]byte("after"))
	require.NoError(t, err, "space was made")
	require.NoError(t, j.Close())
	j = open(t, dir, Options{})
	require.Equal(t, []string{string(record), string(record), string(record), "after"}, records(t, j))
	require.NoError(t, j.Close())
}

func TestOversizedRecordIsRefused(t *testing.T) {
	j := open(t, t.TempDir(), Options{MaxRecord: 10})
	_, err := j.Append(make([]byte, 11))
	require.ErrorIs(t, err, ErrTooLarge)
	require.NoError(t, j.Close())
}

func TestJournalIsASliceThatSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "journal")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		opts := Options{SegmentBytes: rapid.Int64Range(60, 400).Draw(t, "segment")}
		j := open(t, dir, opts)
		var model []string
		dropped := 0
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				r := rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "record")
				index, err := j.Append(r)
				require.NoError(t, err)
				require.Equal(t, uint64(len(model)), index)
				model = append(model, string(r))
			},
			"reopen": func(t *rapid.T) {
				require.NoError(t, j.Close())
				j = open(t, dir, opts)
			},
			"sync": func(t *rapid.T) { require.NoError(t, j.Sync()) },
			"drop": func(t *rapid.T) {
				before := rapid.Uint64Range(0, uint64(len(model))).Draw(t, "before")
				require.NoError(t, j.DropBefore(before))
				require.LessOrEqual(t, j.First(), max(before, uint64(dropped)))
				dropped = int(j.First())
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model)-dropped, len(records(t, j)))
				require.Equal(t, append([]string(nil), model[dropped:]...), records(t, j))
			},
		})
		require.NoError(t, j.Close())
	})
}

func FuzzReplay(f *testing.F) {
	dir := f.TempDir()
	fill(f, dir, 2)
	good, err := os.ReadFile(onlySegment(f, dir))
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:headerBytes+5])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d%s", 0, suffix)), data, 0o600))
		j, err := Open(dir, Options{})
		if err != nil {
			return
		}
		before := records(t, j)
		_, err = j.Append([]byte("more"))
		require.NoError(t, err)
		require.Equal(t, append(before, "more"), records(t, j))
		require.NoError(t, j.Close())
	})
}

func BenchmarkAppendAndSync(b *testing.B) {
	j := open(b, b.TempDir(), Options{})
	record := make([]byte, 1024)
	for b.Loop() {
		_, err := j.Append(record)
		require.NoError(b, err)
		require.NoError(b, j.Sync())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
