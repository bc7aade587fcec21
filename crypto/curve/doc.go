// Package curve is the group of secp256k1 (SEC 2, section 2.4.1): numbers modulo its order,
// points, their sums, one encoding of each, and hashing to points.
//
// Look at [Point] and [Scalar]. What is verified is made of [Sum], which adds up many multiples
// at once; [MulVarTime] and [BaseMulVarTime] make single ones, [Tables] a few of many, and
// [Combiner] many sums of a few.
//
// Everything here takes variable time: how long it takes tells something about the numbers.
// Functions whose numbers may be secret (of a wallet that signs, decrypts or proves) say so with
// VarTime in their name. Who can time a wallet precisely, as another program on its machine can,
// may learn of its keys; who sees only its transactions cannot.
//
// The arithmetic of the field and of points is this package's own, as with the general
// one of gnark-crypto verifying a signature takes twice as long; numbers modulo the order, inversion and hashing to
// the field are gnark-crypto's. Of the traps in that library none can be reached from here:
// infinity, or an encoding beyond the field or the order, is never decoded, and its
// BatchScalarMultiplicationG1, which panics on another goroutine from about 3,600 points on, is
// not called.
//
// The package imports nothing of the project. Everything is safe for concurrent use.
package curve
