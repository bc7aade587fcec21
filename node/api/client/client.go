// Package client talks to a node's API from Go: the command line, local networks
// and load generators use it.
//
// Look at [Client] first. It pools connections, is safe for concurrent use and
// returns the JSON types of package api. Errors are an [api.Problem] if the node
// refused, and an [Unreachable] if nobody answered. It trusts the node: whoever
// does not should verify [Client.Proof] with chain/light.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/starlingmesh/starling/node/api"
)

// maxAnswer bounds what is read of one answer: a node may be hostile too.
const maxAnswer = 64 << 20

// maxConnections to one node are kept open; beyond, requests queue.
const maxConnections = 256

// Client calls one node.
type Client struct {
	base    string
	http    *http.Client
	backoff time.Duration // before the first reconnection of an event stream
}

// New makes a client for an address such as "127.0.0.1:8420" or
// "https://node.example". It does not connect.
func New(address string) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("API address %q: want host:port or http://host:port", address)
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxConnsPerHost:       maxConnections,
		MaxIdleConnsPerHost:   maxConnections,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 3 * time.Minute, // above the longest wait of the API
	}
	return &Client{
		base:    strings.TrimRight(u.String(), "/"),
		http:    &http.Client{Transport: transport},
		backoff: 250 * time.Millisecond,
	}, nil
}

// Address is where the client calls.
func (c *Client) Address() string { return c.base }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Unreachable means that no node answered.
type Unreachable struct {
	Address string
	Err     error
}

// Error says what was tried and what to do.
func (e *Unreachable) Error() string {
	return fmt.Sprintf("no node answers at %s (%s): start one with `starling testnet up` or `starling node run`, or name another with --api", e.Address, plainCause(e.Err))
}

// Unwrap returns the network's error.
func (e *Unreachable) Unwrap() error { return e.Err }

// plainCause is the last part of what happened, without the layers that
// net/http and net put around it.
func plainCause(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}

// get fetches a path into a value.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (out T, err error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return out, c.call(ctx, http.MethodGet, path, "", nil, &out)
}

// call sends a request and decodes the answer into out.
func (c *Client) call(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	resp, err := c.send(ctx, method, path, contentType, body, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer to %s %s: %w", method, path, err)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("answer of %s to %s %s: %w (is it a Starling node?)", c.base, method, path, err)
	}
	return nil
}

// send returns a successful response, or the problem that the node answered.
func (c *Client) send(ctx context.Context, method, path, contentType string, body []byte, header http.Header) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	maps.Copy(req.Header, header)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if ctx.Err() != nil {
		if err == nil {
			resp.Body.Close()
		}
		return nil, fmt.Errorf("%s %s%s: %w", method, c.base, path, ctx.Err())
	}
	if err != nil {
		return nil, &Unreachable{c.base, err}
	}
	if resp.StatusCode >= 400 && (path != "/v1/health" || resp.StatusCode != http.StatusServiceUnavailable) {
		defer resp.Body.Close()
		return nil, c.problem(resp)
	}
	return resp, nil
}

func (c *Client) problem(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is shown below
	var p api.Problem
	if err := json.Unmarshal(text, &p); err != nil || p.Code == "" {
		return fmt.Errorf("%s answers %s to %s %s (is it a Starling node?)", c.base, resp.Status, resp.Request.Method, resp.Request.URL.Path)
	}
	return &p
}
