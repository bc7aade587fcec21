package api

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
)

// RecordInput names a record; it is exported because huma fills embedded fields only then.
type RecordInput struct {
	Owner string `path:"owner" doc:"address of an account"`
	Name  string `path:"name" doc:"name of the record, percent-encoded" maxLength:"768"`
}

type getRecordInput struct {
	RecordInput
	Quorum      int    `query:"quorum" doc:"holders to hear; 0 is a majority" minimum:"0" maximum:"16"`
	StaleOK     bool   `query:"stale_ok" doc:"answer with what this node holds itself, which may be an earlier value"`
	Items       bool   `query:"items" doc:"tell the signed items"`
	Wait        int    `query:"wait" doc:"seconds to wait for a change from If-None-Match" minimum:"0" maximum:"120"`
	IfNoneMatch string `header:"If-None-Match" doc:"a digest: answer 304 while the record is the same"`
}

type recordReply struct {
	Status int
	ETag   string `header:"ETag"`
	Body   Record
}

type itemsInput struct {
	RecordInput
	Quorum int `query:"quorum" doc:"holders to wait for; 0 is a majority" minimum:"0" maximum:"16"`
	Body   struct {
		Items [][]byte `json:"items" doc:"signed items: a header, a part, or both" minItems:"1" maxItems:"2"`
	}
}

func (s *Server) dataRoutes(api huma.API) {
	op := operation(api, http.MethodGet, "/v1/dht/{owner}/{name}", "get-record", "data", "A record of the DHT, from a quorum of its holders")
	op.Responses["304"] = &huma.Response{Description: "The record is still the same"}
	huma.Register(api, op, func(ctx context.Context, in *getRecordInput) (*recordReply, error) {
		r, err := s.record(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, dataError(err))
		}
		return r, nil
	})
	for method, about := range map[string][2]string{
		http.MethodPut:    {"put-record", "Create or replace a record: its signed header, and the part that is its value"},
		http.MethodPatch:  {"patch-record", "Change a record: a signed part"},
		http.MethodDelete: {"delete-record", "Delete a record: a signed header that says so"},
	} {
		op := operation(api, method, "/v1/dht/{owner}/{name}", about[0], "data", about[1])
		huma.Register(api, op, func(ctx context.Context, in *itemsInput) (*reply[Written], error) {
			w, err := s.putItems(ctx, method, in)
			if err != nil {
				return nil, s.problem(ctx, dataError(err))
			}
			return &reply[Written]{w}, nil
		})
	}
	get(s, api, "/v1/dht/ring", "ring", "data", "This node's place in the ring of the DHT, and what it holds", s.ring)
	get(s, api, "/v1/dht/lookup/{key}", "lookup", "data", "The way to who holds a key", s.lookup)
}

// dataError gives the errors of the DHT those of the API.
func dataError(err error) error {
	for _, m := range []struct{ is, as error }{
		{store.ErrNotFound, ErrNotFound},
		{store.ErrQuorum, ErrNotReady},
		{ring.ErrNobody, ErrNotReady},
		{ring.ErrNotFound, ErrNotReady},
		{store.ErrBusy, ErrBusy},
		{context.DeadlineExceeded, context.DeadlineExceeded},
	} {
		if errors.Is(err, m.is) {
			return fmt.Errorf("%w: %w", m.as, err)
		}
	}
	for code, refused := range DataCodes {
		if errors.Is(err, refused) {
			p := newProblem(http.StatusUnprocessableEntity, CodeRefused, err.Error())
			if errors.Is(err, store.ErrStale) {
				p = newProblem(http.StatusConflict, CodeRefused, err.Error())
			}
			p.Reason = code
			return p
		}
	}
	return err
}

// CodeRefused means that the holders of a record did not take an item; Reason is one of
// DataCodes.
const CodeRefused = "record_refused"

// DataCodes are the reasons why holders refuse items, for programs.
var DataCodes = map[string]error{
	"stale": store.ErrStale, "forged": store.ErrForged, "not_writer": store.ErrNotWriter, "unknown": store.ErrUnknown, "void": store.ErrVoid,
	"quota": store.ErrQuota, "full": store.ErrFull, "work": store.ErrWork, "kind": crdt.ErrKind, "future": crdt.ErrFuture,
	"sealed": store.ErrSealed, "too_large": store.ErrTooLarge, "malformed": store.ErrItem,
}

func (s *Server) ref(in RecordInput) (store.Ref, error) {
	a, err := s.address(in.Owner)
	if err != nil {
		return store.Ref{}, err
	}
	if len(in.Name) == 0 || len(in.Name) > store.MaxName {
		return store.Ref{}, fmt.Errorf("%w: a record's name has 1 to %d bytes", ErrInvalid, store.MaxName)
	}
	return store.Ref{Owner: hash.Hash(a), Name: in.Name}, nil
}

func (s *Server) record(ctx context.Context, in *getRecordInput) (*recordReply, error) {
	ref, err := s.ref(in.RecordInput)
	if err != nil {
		return nil, err
	}
	data := s.backend.Data()
	get := func() (store.Read, error) {
		if in.StaleOK {
			if r, err := data.Local(ref); err == nil {
				return r, nil
			}
		}
		return data.Get(ctx, ref, in.Quorum)
	}
	have := strings.Trim(in.IfNoneMatch, `"`)
	r, err := get()
	if in.Wait > 0 && (err == nil && r.Digest.String() == have || have == "" && errors.Is(err, store.ErrNotFound)) {
		held, release, herr := s.hold(ctx, time.Duration(in.Wait)*time.Second)
		if herr != nil {
			return nil, herr
		}
		_ = data.Watch(held, ref, r.Digest) // if nothing changes, that is the answer
		release()
		r, err = get()
	}
	if err != nil {
		return nil, fmt.Errorf("record %q of %s: %w", in.Name, in.Owner, err)
	}
	out := &recordReply{Status: http.StatusOK, ETag: `"` + r.Digest.String() + `"`}
	if have != "" && have == r.Digest.String() {
		out.Status = http.StatusNotModified
		return out, nil
	}
	out.Body, err = s.showRecord(ctx, in, ref, r)
	return out, err
}

// maxShownValue is the largest value in bytes that is part of an answer; of a larger one the
// items tell where its chunks are.
const maxShownValue = 1 << 20

func (s *Server) showRecord(ctx context.Context, in *getRecordInput, ref store.Ref, r store.Read) (Record, error) {
	h := r.Items[0].Header
	out := Record{
		Owner: in.Owner, Name: in.Name, Kind: h.Kind.String(), Sealed: h.Seal != 0, Expires: time.Unix(int64(h.Expires), 0).UTC(),
		Digest: r.Digest.String(), Agreed: r.Agreed,
	}
	for _, it := range r.Items {
		out.Bytes += int64(len(it.Raw()))
		if in.Items {
			out.Items = append(out.Items, it.Raw())
		}
	}
	if out.Sealed || in.Items {
		return out, nil // who has the items reads them
	}
	rec, err := store.Open(ref, r.Items, nil)
	if err != nil {
		return out, err
	}
	var value []byte
	if h.Kind == crdt.Register {
		size, err := dht.Size(rec)
		if err != nil || size > maxShownValue {
			return out, err
		}
		if value, err = dht.Reader(s.backend.Data()).Value(ctx, rec); err != nil {
			return out, err
		}
	}
	v := ValueOf(rec.State, nil, h.Kind, value)
	out.Value = &v
	return out, nil
}

func (s *Server) putItems(ctx context.Context, method string, in *itemsInput) (Written, error) {
	ref, err := s.ref(in.RecordInput)
	if err != nil {
		return Written{}, err
	}
	var items []*store.Item
	headers, parts, deleted := 0, 0, false
	for _, raw := range in.Body.Items {
		it, err := store.DecodeItem(raw)
		if err != nil {
			return Written{}, err
		}
		if it.Key() != ref.Key() {
			return Written{}, fmt.Errorf("%w: an item of another record than %s/%s", ErrInvalid, in.Owner, in.Name)
		}
		if it.Header != nil {
			headers++
			deleted = it.Header.Deleted
		} else {
			parts++
		}
		items = append(items, it)
	}
	switch {
	case method == http.MethodPut && (headers != 1 || deleted):
		return Written{}, fmt.Errorf("%w: PUT takes a header, and the part that is the value; PATCH takes a part alone", ErrInvalid)
	case method == http.MethodPatch && (headers != 0 || parts != 1):
		return Written{}, fmt.Errorf("%w: PATCH takes one part", ErrInvalid)
	case method == http.MethodDelete && (headers != 1 || parts != 0 || !deleted):
		return Written{}, fmt.Errorf("%w: DELETE takes a header that says that the record is deleted", ErrInvalid)
	}
	w, err := s.backend.Data().Put(ctx, ref, items, in.Quorum)
	return Written{Acks: w.Acks, Holders: w.Holders}, err
}

func ringPeer(p ring.Peer) RingPeer {
	return RingPeer{Peer: peer.ID(p.Name).String(), ID: p.ID.String()}
}

func ringPeers(peers []ring.Peer) []RingPeer {
	out := make([]RingPeer, 0, len(peers))
	for _, p := range peers {
		out = append(out, ringPeer(p))
	}
	return out
}

func (s *Server) ring(context.Context, *nothing) (Ring, error) {
	st := s.backend.Data().Status()
	r := Ring{
		Self: ringPeer(st.Self), Member: st.Member, Settled: st.Settled, Successors: ringPeers(st.State.Successors), Before: ringPeers(st.State.Before),
		Known: st.Known, Records: st.Records, Bytes: st.Bytes, Owners: st.Owners,
		Counters: RingCounts{
			Gets: st.Count.Gets, Puts: st.Count.Puts, Requests: st.Count.Requests, Served: st.Count.Served, Refused: st.Count.Refused, Forged: st.Forged,
			Damaged: st.Damaged, Twice: st.Twice, Repaired: st.Count.Repaired, Compared: st.Count.Syncs, Failed: st.Count.Failed, Moved: st.Count.Moved,
			MovedBytes: st.Count.MovedBytes, Fetched: st.Count.Fetched, HandedOver: st.Count.HandedOver, Expired: st.Count.Expired,
		},
	}
	if p := st.State.Predecessor; p != (ring.Peer{}) {
		shown := ringPeer(p)
		r.Predecessor = &shown
	}
	return r, nil
}

type lookupInput struct {
	Key   string `path:"key" doc:"64 hexadecimal digits, or OWNER:NAME"`
	Paths int    `query:"paths" doc:"ways that share nobody" minimum:"1" maximum:"4" default:"1"`
}

func (s *Server) lookup(ctx context.Context, in *lookupInput) (Lookup, error) {
	key, err := s.key(in.Key)
	if err != nil {
		return Lookup{}, err
	}
	f, err := s.backend.Data().Lookup(ctx, key, max(in.Paths, 1))
	if err != nil {
		return Lookup{}, dataError(err)
	}
	out := Lookup{Key: key.String(), Holders: ringPeers(f.Holders(store.DefaultReplicas)), Hops: f.Hops, Trace: []LookupHop{}}
	for _, a := range f.Trace {
		hop := LookupHop{RingPeer: ringPeer(a.Peer), Path: a.Path, TookMS: float64(a.Took.Microseconds()) / 1000}
		if a.Err != nil {
			hop.Error = a.Err.Error()
		}
		out.Trace = append(out.Trace, hop)
	}
	return out, nil
}

func (s *Server) key(text string) (key ring.ID, err error) {
	if owner, name, ok := strings.Cut(text, ":"); ok {
		ref, err := s.ref(RecordInput{owner, name})
		return ref.Key(), err
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(key) {
		return key, fmt.Errorf("%w: %q is no key: want 64 hexadecimal digits, or OWNER:NAME", ErrInvalid, text)
	}
	copy(key[:], raw)
	return key, nil
}
