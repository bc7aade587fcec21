package store

import (
	"bytes"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Requests is the codec of what peers ask: canonical, but no item is encoded again to see
// whether it is.
func Requests() canon.Codec[*Request] {
	return canon.Codec[*Request]{Encode: func(r *Request) ([]byte, error) { return canon.Marshal(r) }, Decode: decodeRequest}
}

// Responses is the codec of what they answer; see [Requests].
func Responses() canon.Codec[*Response] {
	return canon.Codec[*Response]{Encode: func(r *Response) ([]byte, error) { return canon.Marshal(r) }, Decode: decodeResponse}
}

func decodeRequest(raw []byte) (*Request, error) {
	in := canon.Read(raw)
	in.Struct(8)
	r := new(Request)
	err := fields(in, optional(&r.Ring), optional(&r.Get), items(&r.Put), optional(&r.Spans), optional(&r.Fetch), items(&r.Push), optional(&r.Watch), optional(&r.Changed))
	if err != nil {
		return nil, err
	}
	return r, nil
}

func decodeResponse(raw []byte) (*Response, error) {
	in := canon.Read(raw)
	in.Struct(7)
	r := new(Response)
	err := fields(in, optional(&r.Ring), value(&r.Role), value(&r.Settled), hashOf(&r.Digest), items(&r.Items), optional(&r.Differ), value(&r.Refusal))
	if err != nil {
		return nil, err
	}
	return r, nil
}

// fields reads the fields of a struct, up to its end.
func fields(in *canon.Reader, read ...func(*canon.Reader) error) error {
	for _, f := range read {
		if err := f(in); err != nil {
			return err
		}
	}
	return in.Done()
}

// optional reads a pointer or a slice, which may be null.
func optional[T any](to *T) func(*canon.Reader) error {
	return func(in *canon.Reader) error {
		if in.Null() {
			return nil
		}
		return value(to)(in)
	}
}

func value[T any](to *T) func(*canon.Reader) error {
	return func(in *canon.Reader) error {
		raw := in.Raw()
		if raw == nil {
			return in.Done()
		}
		return canon.Unmarshal(raw, to)
	}
}

func hashOf(to *hash.Hash) func(*canon.Reader) error {
	return func(in *canon.Reader) error {
		b := in.Bytes()
		if len(b) != hash.Size {
			return fmt.Errorf("%w: a hash of %d bytes", ErrItem, len(b))
		}
		*to = hash.Hash(b)
		return nil
	}
}

// items reads a list of items, or null.
func items(to *[]*Item) func(*canon.Reader) error {
	return func(in *canon.Reader) error {
		if in.Null() {
			return nil
		}
		list := make([]*Item, in.Array())
		for i := range list {
			raw := in.Raw()
			if raw == nil {
				return in.Done()
			}
			it, err := DecodeItem(bytes.Clone(raw)) // it is kept for long, the others with it are not
			if err != nil {
				return err
			}
			list[i] = it
		}
		*to = list
		return nil
	}
}
