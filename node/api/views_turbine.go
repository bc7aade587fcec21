package api

import "time"

// Turbine is the answer of GET /v1/turbine. Counters begin with the node's start.
type Turbine struct {
	MinBytes   int64            `json:"min_bytes" doc:"from this size on blocks and batches travel so"`
	Shreds     uint64           `json:"shreds" doc:"genuine and new"`
	Duplicates uint64           `json:"duplicates"`
	Repaired   uint64           `json:"repaired" doc:"of shreds, those that were asked for"`
	Recovered  uint64           `json:"recovered" doc:"rebuilt from others"`
	Relayed    uint64           `json:"relayed" doc:"copies sent on"`
	Asked      uint64           `json:"asked" doc:"requests sent"`
	Served     uint64           `json:"served" doc:"shreds sent to who asked"`
	Dropped    uint64           `json:"dropped" doc:"packets of no use"`
	Refused    uint64           `json:"refused" doc:"packets that break a rule"`
	HeldBytes  int              `json:"held_bytes" doc:"memory of payloads on their way"`
	Loss       *float64         `json:"loss,omitempty" doc:"share of shreds that lately did not come by the trees; absent before it was measured"`
	Silent     []string         `json:"silent" doc:"validators by whom nothing came lately; others relay in their place"`
	Paths      []TurbinePath    `json:"paths" doc:"ways to the peers that something was sent to"`
	Recent     []TurbineReceipt `json:"recent" doc:"newest payloads, without their sets"`
}

// TurbinePath is the way of packets to a peer.
type TurbinePath struct {
	Peer    string  `json:"peer"`
	By      string  `json:"by" enum:"streams,datagrams"`
	Packets uint64  `json:"packets" doc:"sent"`
	Dropped uint64  `json:"dropped" doc:"for want of room in the peer's queue"`
	Loss    float64 `json:"loss" doc:"share of packets lost, as QUIC measures it"`
}

// TurbineReceipt tells how a payload came, or, if Own is set, how long it took to leave.
type TurbineReceipt struct {
	Epoch     uint64       `json:"epoch"`
	Channel   string       `json:"channel" enum:"proposal,batch"`
	Slot      uint64       `json:"slot" doc:"view of a proposal, or height of a batch in its lane"`
	Sender    string       `json:"sender" doc:"validator"`
	Own       bool         `json:"own,omitempty" doc:"this node sent it"`
	Bytes     int          `json:"bytes" doc:"unpacked"`
	Began     time.Time    `json:"began" doc:"when its first shred came"`
	TookMS    float64      `json:"took_ms" doc:"until it was whole"`
	Tree      int          `json:"tree" doc:"shreds that came by the trees"`
	Repaired  int          `json:"repaired" doc:"shreds that were asked for"`
	Recovered int          `json:"recovered" doc:"data shreds that were rebuilt"`
	Sets      []TurbineSet `json:"sets,omitempty" doc:"in order; times in milliseconds from began"`
}

// TurbineSet tells how an erasure set came.
type TurbineSet struct {
	Set       uint32  `json:"set"`
	FirstMS   float64 `json:"first_ms" doc:"its first shred"`
	DoneMS    float64 `json:"done_ms" doc:"enough of them"`
	Tree      int     `json:"tree"`
	Repaired  int     `json:"repaired"`
	Recovered int     `json:"recovered"`
}
