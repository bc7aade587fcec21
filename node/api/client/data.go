package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/node/api"
)

// Ring fetches the node's place in the ring of the DHT.
func (c *Client) Ring(ctx context.Context) (api.Ring, error) {
	return get[api.Ring](ctx, c, "/v1/dht/ring", nil)
}

// Lookup finds who holds a key, by so many disjoint paths.
func (c *Client) Lookup(ctx context.Context, key string, paths int) (api.Lookup, error) {
	return get[api.Lookup](ctx, c, "/v1/dht/lookup/"+url.PathEscape(key), url.Values{"paths": {strconv.Itoa(paths)}})
}

// Records reads and writes records of one owner through a node, which need not be trusted:
// items are signed. It implements dht.Holders.
type Records struct {
	c      *Client
	format func(store.Owner) string
}

// Records reads and writes records; format writes an owner as an address.
func (c *Client) Records(format func(store.Owner) string) *Records {
	return &Records{c: c, format: format}
}

func (r *Records) path(ref store.Ref) string {
	return "/v1/dht/" + url.PathEscape(r.format(ref.Owner)) + "/" + url.PathEscape(ref.Name)
}

// Get implements dht.Holders.
func (r *Records) Get(ctx context.Context, ref store.Ref, want int) (store.Read, error) {
	return r.get(ctx, ref, url.Values{"items": {"true"}, "quorum": {strconv.Itoa(want)}})
}

// Local implements dht.Holders.
func (r *Records) Local(ref store.Ref) (store.Read, error) {
	return r.get(context.Background(), ref, url.Values{"items": {"true"}, "stale_ok": {"true"}})
}

func (r *Records) get(ctx context.Context, ref store.Ref, query url.Values) (store.Read, error) {
	rec, err := get[api.Record](ctx, r.c, r.path(ref), query)
	if err != nil {
		return store.Read{}, storeError(err)
	}
	out := store.Read{Agreed: rec.Agreed}
	for _, raw := range rec.Items {
		it, err := store.DecodeItem(raw)
		if err != nil {
			return out, fmt.Errorf("what the node answered: %w", err)
		}
		out.Items = append(out.Items, it)
	}
	if out.Digest, err = hash.Parse(rec.Digest); err != nil {
		return out, fmt.Errorf("what the node answered: %w", err)
	}
	return out, nil
}

// Put implements dht.Holders.
func (r *Records) Put(ctx context.Context, ref store.Ref, items []*store.Item, want int) (store.Written, error) {
	method := http.MethodPatch
	var body struct {
		Items [][]byte `json:"items"`
	}
	for _, it := range items {
		body.Items = append(body.Items, it.Raw())
		if it.Header != nil {
			method = http.MethodPut
			if it.Header.Deleted {
				method = http.MethodDelete
			}
		}
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return store.Written{}, fmt.Errorf("encode items: %w", err)
	}
	var w api.Written
	err = r.c.call(ctx, method, r.path(ref)+"?quorum="+strconv.Itoa(want), "application/json", raw, &w)
	return store.Written{Acks: w.Acks, Holders: w.Holders}, storeError(err)
}

// Watch implements dht.Holders.
func (r *Records) Watch(ctx context.Context, ref store.Ref, have hash.Hash) error {
	header := http.Header{}
	if !have.IsZero() {
		header.Set("If-None-Match", `"`+have.String()+`"`)
	}
	resp, err := r.c.send(ctx, http.MethodGet, r.path(ref)+"?wait=60", "", nil, header)
	if err != nil {
		return storeError(err)
	}
	return resp.Body.Close()
}

// storeError gives a node's refusal the errors of dht/store.
func storeError(err error) error {
	var p *api.Problem
	if !errors.As(err, &p) {
		return err
	}
	if known := api.DataCodes[p.Reason]; p.Code == api.CodeRefused && known != nil {
		if more := strings.Trim(strings.ReplaceAll(p.Detail, known.Error(), ""), " :"); more != "" {
			return fmt.Errorf("%w (%s)", known, more)
		}
		return known
	}
	if p.Code == api.CodeNotFound {
		return fmt.Errorf("%w", store.ErrNotFound)
	}
	return err
}
