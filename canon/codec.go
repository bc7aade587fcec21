package canon

// Codec turns messages of one type into bytes and back. Decode must refuse
// anything but the one encoding of a message.
type Codec[T any] struct {
	Encode func(T) ([]byte, error)
	Decode func([]byte) (T, error)
}

// CBOR is the codec of types that encode as they are.
func CBOR[T any]() Codec[T] {
	return Codec[T]{
		Encode: func(v T) ([]byte, error) { return Marshal(v) },
		Decode: func(data []byte) (v T, err error) {
			err = Unmarshal(data, &v)
			return v, err
		},
	}
}
