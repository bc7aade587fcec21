package api

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/starlingmesh/starling/dht/crdt"
)

// Record is a record of the DHT as the node can read it. Of a sealed one, and of a value of
// more than 1 MiB, only the items are told.
type Record struct {
	Owner   string    `json:"owner" doc:"address of the account it belongs to"`
	Name    string    `json:"name"`
	Kind    string    `json:"kind" enum:"register,counter,set,log,map"`
	Sealed  bool      `json:"sealed,omitempty" doc:"only its readers can read it"`
	Expires time.Time `json:"expires"`
	Digest  string    `json:"digest" doc:"changes whenever the record does; also the ETag"`
	Agreed  int       `json:"agreed" doc:"holders that have it so, of those that were asked"`
	Value   *Value    `json:"value,omitempty"`
	Bytes   int64     `json:"bytes" doc:"of the signed items"`
	Items   [][]byte  `json:"items,omitempty" doc:"the signed items, if asked for: header first"`
}

// Value is what a record's CRDT says.
type Value struct {
	Kind    string      `json:"kind" enum:"register,counter,set,log,map"`
	Text    *string     `json:"text,omitempty" doc:"of a register that is text"`
	Bytes   []byte      `json:"bytes,omitempty" doc:"of a register that is not"`
	Count   *int64      `json:"count,omitempty"`
	Members []Datum     `json:"members,omitempty" doc:"of a set"`
	Entries []DataEntry `json:"entries,omitempty" doc:"of a log, in order"`
	Fields  []DataField `json:"fields,omitempty" doc:"of a map"`
}

// Datum is text, or bytes where it is none.
type Datum struct {
	Text  *string `json:"text,omitempty"`
	Bytes []byte  `json:"bytes,omitempty"`
}

// DataEntry is an entry of a log.
type DataEntry struct {
	Time time.Time `json:"time"`
	Datum
}

// DataField is a field of a map.
type DataField struct {
	Name  string `json:"name"`
	Value Value  `json:"value"`
}

// DatumOf shows bytes.
func DatumOf(b []byte) Datum {
	if text := string(b); utf8.Valid(b) {
		return Datum{Text: &text}
	}
	return Datum{Bytes: b}
}

// ValueOf shows what is at a path of a state. value, if not nil, is a register's that is kept
// elsewhere.
func ValueOf(s *crdt.State, at crdt.Path, k crdt.Kind, value []byte) Value {
	v := Value{Kind: k.String()}
	switch k {
	case crdt.Register:
		if value == nil {
			value, _ = s.Value(at)
		}
		d := DatumOf(value)
		v.Text, v.Bytes = d.Text, d.Bytes
	case crdt.Counter:
		n := s.Count(at)
		v.Count = &n
	case crdt.Set:
		v.Members = []Datum{}
		for _, e := range s.Elements(at) {
			v.Members = append(v.Members, DatumOf(e))
		}
	case crdt.Log:
		v.Entries = []DataEntry{}
		for _, e := range s.Entries(at) {
			v.Entries = append(v.Entries, DataEntry{e.Stamp.Time().UTC(), DatumOf(e.Data)})
		}
	case crdt.Map:
		v.Fields = []DataField{}
		for _, f := range s.Fields(at) {
			v.Fields = append(v.Fields, DataField{f.Name, ValueOf(s, append(slices.Clip(at), f.Name), f.Kind, nil)})
		}
	}
	return v
}

// Written is what became of a write.
type Written struct {
	Acks    int `json:"acks" doc:"holders that keep it, as far as known when it was answered"`
	Holders int `json:"holders" doc:"that were asked"`
}

// Ring is the node's place in the ring of the DHT, and what it holds.
type Ring struct {
	Self        RingPeer   `json:"self"`
	Member      bool       `json:"member"`
	Settled     bool       `json:"settled" doc:"it holds what it must"`
	Predecessor *RingPeer  `json:"predecessor,omitempty"`
	Successors  []RingPeer `json:"successors" doc:"who follows, the nearest first"`
	Before      []RingPeer `json:"before" doc:"who comes before the predecessor, the nearest first"`
	Known       int        `json:"known" doc:"peers to begin lookups with"`
	Records     int        `json:"records"`
	Bytes       int64      `json:"bytes"`
	Owners      int        `json:"owners"`
	Counters    RingCounts `json:"counters"`
}

// RingPeer is a peer and its place.
type RingPeer struct {
	Peer string `json:"peer"`
	ID   string `json:"id" doc:"hexadecimal"`
}

// RingCounts count what happened since the node's start.
type RingCounts struct {
	Gets       uint64 `json:"gets"`
	Puts       uint64 `json:"puts"`
	Requests   uint64 `json:"requests" doc:"sent for these"`
	Served     uint64 `json:"served" doc:"requests of others"`
	Refused    uint64 `json:"refused" doc:"items of others that were not taken"`
	Forged     uint64 `json:"forged"`
	Damaged    int    `json:"damaged" doc:"items that were damaged on disk"`
	Twice      int    `json:"equivocations"`
	Repaired   uint64 `json:"repaired" doc:"holders that a read brought up to date"`
	Compared   uint64 `json:"compared" doc:"times that records were compared with another holder"`
	Failed     uint64 `json:"failed" doc:"of these"`
	Moved      uint64 `json:"moved" doc:"items given to other holders"`
	MovedBytes uint64 `json:"moved_bytes"`
	Fetched    uint64 `json:"fetched" doc:"items taken from other holders"`
	HandedOver uint64 `json:"handed_over" doc:"records that others hold now"`
	Expired    uint64 `json:"expired"`
}

// Lookup is the way to who holds a key.
type Lookup struct {
	Key     string      `json:"key"`
	Holders []RingPeer  `json:"holders" doc:"the owner first"`
	Hops    int         `json:"hops"`
	Trace   []LookupHop `json:"trace"`
}

// LookupHop is one question of a lookup.
type LookupHop struct {
	RingPeer
	Path   int     `json:"path" doc:"of those that run side by side"`
	TookMS float64 `json:"took_ms"`
	Error  string  `json:"error,omitempty"`
}
