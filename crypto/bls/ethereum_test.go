package bls

import (
	"bufio"
	"encoding/hex"
	"math/big"
	"os"
	"strings"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/stretchr/testify/require"
)

// Ethereum has keys in G1 and signatures in G2, the other way round than this package. Its
// vectors (ethereum/bls12-381-tests, as the Go module herumi/bls-eth-go-binary v1.36.4 carries
// them; those of decoding from the repository's own generator, main.py, cases 7 and 8) still judge what both are made of: this package's strict decoding of both groups'
// points, with its refusal of infinity, and the library's hashing and pairing.
const ethereumDST = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

// ethereumCase is one block of lines up to its result.
type ethereumCase struct {
	pub, msg, sig  [][]byte
	name, sec, out string
}

func ethereumCases(t *testing.T, file string) (cases []ethereumCase) {
	f, err := os.Open("testdata/" + file)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	var c ethereumCase
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		raw, _ := hex.DecodeString(value)
		switch name {
		case "pub":
			c.pub = append(c.pub, raw)
		case "msg":
			c.msg = append(c.msg, raw)
		case "sig":
			c.sig = append(c.sig, raw)
		case "sec":
			c.sec = value
		case "name":
			c.name = value
		case "out":
			c.out = value
			cases = append(cases, c)
			c = ethereumCase{}
		}
	}
	return cases
}

// ethereumKey decodes a point of G1 as this package decodes signatures.
func ethereumKey(raw []byte) (p bls12381.G1Affine, ok bool) {
	sig, err := ParseSignature(raw)
	if err != nil {
		return p, false
	}
	p, err = sig.point()
	return p, err == nil
}

// ethereumHolds checks e(keys[i], H(msgs[i])) summed up = e(g1, sig), the signature decoded as
// this package decodes keys.
func ethereumHolds(pubs, msgs [][]byte, rawSig []byte) bool {
	if _, err := ParsePublicKey(rawSig); err != nil {
		return false
	}
	var sig bls12381.G2Affine
	if _, err := sig.SetBytes(rawSig); err != nil {
		return false
	}
	_, _, g1, _ := bls12381.Generators()
	g1.Neg(&g1)
	left, right := []bls12381.G1Affine{g1}, []bls12381.G2Affine{sig}
	for i, raw := range pubs {
		key, ok := ethereumKey(raw)
		if !ok {
			return false
		}
		h, err := bls12381.HashToG2(msgs[min(i, len(msgs)-1)], []byte(ethereumDST))
		if err != nil {
			return false
		}
		left, right = append(left, key), append(right, h)
	}
	ok, err := bls12381.PairingCheck(left, right)
	return err == nil && ok && len(pubs) > 0
}

func TestEthereumVectors(t *testing.T) {
	for file, count := range map[string]int{"verify.txt": 28, "fast_aggregate_verify.txt": 11, "aggregate_verify.txt": 2} {
		cases := ethereumCases(t, file)
		require.Len(t, cases, count, file)
		for i, c := range cases {
			require.Equal(t, c.out == "true", ethereumHolds(c.pub, c.msg, c.sig[0]), "%s, %d", file, i)
		}
	}
	cases := ethereumCases(t, "aggregate.txt")
	require.Len(t, cases, 3)
	for _, c := range cases {
		var sum bls12381.G2Affine
		for _, raw := range c.sig {
			_, err := ParsePublicKey(raw)
			require.NoError(t, err)
			var p bls12381.G2Affine
			_, err = p.SetBytes(raw)
			require.NoError(t, err)
			sum.Add(&sum, &p)
		}
		enc := sum.Bytes()
		require.Equal(t, c.out, hex.EncodeToString(enc[:]))
	}
	cases = ethereumCases(t, "sign.txt")
	require.Len(t, cases, 9)
	for _, c := range cases {
		raw, err := hex.DecodeString(c.sec)
		require.NoError(t, err)
		key, err := ParseSecretKey(raw)
		require.NoError(t, err)
		h, err := bls12381.HashToG2(c.msg[0], []byte(ethereumDST))
		require.NoError(t, err)
		h.ScalarMultiplication(&h, key.scalar.BigInt(new(big.Int)))
		enc := h.Bytes()
		require.Equal(t, c.out, hex.EncodeToString(enc[:]))
	}
}

// A point is decoded where Ethereum's vectors say so, except infinity: it signs for nobody.
func TestEthereumVectorsOfDecoding(t *testing.T) {
	decoders := map[string]func([]byte) error{
		"deserialization_G1.txt": func(raw []byte) error { _, err := ParseSignature(raw); return err },
		"deserialization_G2.txt": func(raw []byte) error { _, err := ParsePublicKey(raw); return err },
	}
	for file, decode := range decoders {
		cases := ethereumCases(t, file)
		require.GreaterOrEqual(t, len(cases), 13)
		for _, c := range cases {
			t.Run(file+"/"+c.name, func(t *testing.T) {
				want := c.out == "true" && c.name != "deserialization_succeeds_infinity_with_true_b_flag"
				require.Equal(t, want, decode(c.sig[0]) == nil)
			})
		}
	}
}
