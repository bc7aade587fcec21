package bls

import (
	"fmt"
	"testing"
)

func perSecond(b *testing.B, what string, n int) {
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), what+"/s")
}

func BenchmarkSign(b *testing.B) {
	key := keyOf(b, 1)
	for b.Loop() {
		key.Sign(msg)
	}
	perSecond(b, "sig", 1)
}

func BenchmarkVerify(b *testing.B) {
	key := keyOf(b, 1)
	sig := key.Sign(msg)
	for b.Loop() {
		Verify(key.Public(), msg, sig)
	}
	perSecond(b, "sig", 1)
}

func BenchmarkParsePublicKey(b *testing.B) {
	enc := keyOf(b, 1).Public().Bytes()
	for b.Loop() {
		_, _ = ParsePublicKey(enc)
	}
}

func BenchmarkAggregate(b *testing.B) {
	for _, n := range []int{3, 67, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			secrets, _ := committee(b, n)
			sigs := signAll(secrets, msg)
			for b.Loop() {
				_, _ = Aggregate(sigs)
			}
			perSecond(b, "sig", n)
		})
	}
}

func BenchmarkVerifyAggregate(b *testing.B) {
	for _, n := range []int{3, 67, 100} {
		secrets, publics := committee(b, n)
		sig, err := Aggregate(signAll(secrets, msg))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("keys/%d", n), func(b *testing.B) {
			for b.Loop() {
				VerifyAggregate(publics, msg, sig)
			}
			perSecond(b, "cert", 1)
		})
		b.Run(fmt.Sprintf("set/%d", n), func(b *testing.B) {
			set, _ := NewKeySet(publics)
			signers := NewBitmap(n)
			for i := range n {
				signers.Set(i)
			}
			for b.Loop() {
				sum, _ := set.Sum(signers)
				VerifyAggregate([]*PublicKey{sum}, msg, sig)
			}
			perSecond(b, "cert", 1)
		})
	}
}

func BenchmarkVerifyDistinct(b *testing.B) {
	secrets, publics := committee(b, 67)
	var groups []Group
	var sigs []Signature
	for i := range 3 {
		m := []byte{byte(i)}
		from, to := i*23, min(67, (i+1)*23)
		groups = append(groups, Group{publics[from:to], m})
		sigs = append(sigs, signAll(secrets[from:to], m)...)
	}
	sig, err := Aggregate(sigs)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !VerifyDistinct(groups, sig) {
			b.Fatal("refused")
		}
	}
	perSecond(b, "cert", 1)
}

func BenchmarkBatchVerify(b *testing.B) {
	for _, n := range []int{2, 16, 67, 100} {
		for _, distinct := range []bool{false, true} {
			b.Run(fmt.Sprintf("n=%d/distinct=%t", n, distinct), func(b *testing.B) {
				secrets, publics := committee(b, n)
				items := make([]Item, n)
				for i := range items {
					m := msg
					if distinct {
						m = []byte{byte(i)}
					}
					items[i] = Item{publics[i], m, secrets[i].Sign(m)}
				}
				for b.Loop() {
					if BatchVerify(items) != nil {
						b.Fatal("refused")
					}
				}
				perSecond(b, "sig", n)
			})
		}
	}
}

func BenchmarkBatchVerifyWithOneBad(b *testing.B) {
	secrets, publics := committee(b, 67)
	items := make([]Item, 67)
	for i := range items {
		items[i] = Item{publics[i], msg, secrets[i].Sign(msg)}
	}
	items[20].Sig = secrets[20].Sign([]byte("another"))
	for b.Loop() {
		BatchVerify(items)
	}
	perSecond(b, "sig", 67)
}
