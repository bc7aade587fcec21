package lab

import "encoding/binary"

// fragmentHeader is a fragment's number, before its bytes.
const fragmentHeader = 4

// cut splits a block into numbered fragments of size bytes, the last shorter.
func cut(block []byte, size int) [][]byte {
	var all [][]byte
	for i := 0; i*size < len(block); i++ {
		part := block[i*size : min((i+1)*size, len(block))]
		f := make([]byte, fragmentHeader, fragmentHeader+len(part))
		binary.BigEndian.PutUint32(f, uint32(i))
		all = append(all, append(f, part...))
	}
	return all
}

// assembly puts the fragments of one block together.
type assembly struct {
	block   []byte
	size    int
	have    []bool
	missing int
}

func newAssembly(total, size int) *assembly {
	n := (total + size - 1) / size
	return &assembly{block: make([]byte, total), size: size, have: make([]bool, n), missing: n}
}

// add takes a fragment; with the last one it returns the block. Fragments of
// another size or number, and those it has, are passed over.
func (a *assembly) add(f []byte) ([]byte, bool) {
	if len(f) < fragmentHeader {
		return nil, false
	}
	i, part := int(binary.BigEndian.Uint32(f)), f[fragmentHeader:]
	if i >= len(a.have) || a.have[i] || len(part) != min(a.size, len(a.block)-i*a.size) {
		return nil, false
	}
	copy(a.block[i*a.size:], part)
	a.have[i] = true
	a.missing--
	return a.block, a.missing == 0
}
