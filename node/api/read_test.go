package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
)

func TestEveryReadingEndpointAnswers(t *testing.T) {
	r := start(t)
	b7 := r.blocks[7]
	for path, want := range map[string]string{
		"/v1/status":                           `"network":"testnet"`,
		"/v1/health":                           `{"live":true,"ready":true,"reasons":[]}`,
		"/v1/peers":                            `"validator":"bob"`,
		"/v1/validators":                       `"name":"ada"`,
		"/v1/genesis":                          `"address_prefix": "tst"`,
		"/v1/blocks":                           `"height":30`,
		"/v1/blocks/latest":                    `"height":30`,
		"/v1/blocks/7":                         b7.Hash().String(),
		"/v1/blocks/" + b7.Hash().String():     `"height":7`,
		"/v1/balance/" + funded.Format("tst"):  `"balance":"1.25","balance_drops":"1250000","sequence":4,"next_sequence":6`,
		"/v1/balance/" + nowhere.Format("tst"): `"exists":false`,
		"/v1/proof/" + funded.Format("tst"):    `"proof":"cafe"`,
		"/v1/stake/" + funded.Format("tst"):    `"release_height":70`,
		"/v1/stakes":                           `"offences":["double-vote","bad-certificate"]`,
		"/v1/epoch":                            `"after_next":null`,
		"/v1/outputs":                          `"total":4,"from":0,"outputs":["AA==","AQ==","Ag==","Aw=="]`,
		"/v1/outputs?from=1&limit=2":           `"shielded_drops":"500","total":4,"from":1,"outputs":["AQ==","Ag=="]`,
		"/v1/outputs?from=9":                   `"outputs":[]`,
		"/v1/outputs?numbers=3,0":              `"outputs":["Aw==","AA=="]`,
		"/openapi.json":                        `"openapi":"3.1.0"`,
		"/openapi.yaml":                        `openapi: 3.1.0`,
		"/docs/":                               "<!doctype html>",
		"/docs/docs.js":                        "openapi.json",
		"/livez":                               "ok",
		"/readyz":                              "ok",
		"/metrics":                             "",
	} {
		status, body := r.get(t, path)
		require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
		require.Contains(t, body, want, path)
	}
}

func TestBlockShowsPassageAndCertificate(t *testing.T) {
	r := start(t)
	_, body := r.get(t, "/v1/blocks/7")
	var b Block
	require.NoError(t, json.Unmarshal([]byte(body), &b))
	require.Equal(t, "di", b.Proposer)
	require.Equal(t, []string{"ada", "cy", "di"}, b.Certificate.Signers)
	require.EqualValues(t, 3, b.Certificate.Power)
	require.EqualValues(t, 3, b.Certificate.Quorum)
	require.Equal(t, "prepare", b.Passage[0].Name)
	require.Equal(t, "decide", b.Passage[3].Name)
	require.InDelta(t, 120.5, b.Passage[3].OffsetMS, 1e-9)
	require.Len(t, b.Txs, 1)
	require.Equal(t, "12.5", b.Txs[0].Amount)
	require.Equal(t, nowhere.Format("tst"), b.Txs[0].To)
	require.Equal(t, "thanks", b.Txs[0].Memo)
	require.True(t, *b.Txs[0].Success)
}

func TestBlockPagesCoverTheChainOnce(t *testing.T) {
	r := start(t)
	var heights []uint64
	for path := "/v1/blocks?limit=7"; ; {
		_, body := r.get(t, path)
		var page BlockList
		require.NoError(t, json.Unmarshal([]byte(body), &page))
		for _, b := range page.Blocks {
			require.Empty(t, b.Txs)
			heights = append(heights, b.Height)
		}
		if page.Next == 0 {
			break
		}
		path = "/v1/blocks?limit=7&before=" + BlockRef{Height: types.Height(page.Next)}.String()
	}
	require.Len(t, heights, 31)
	for i, h := range heights {
		require.EqualValues(t, 30-i, h)
	}
}

func TestMistakesAreProblemsWithACode(t *testing.T) {
	r := start(t)
	foreign := funded.Format("other")
	for path, want := range map[string]struct {
		status int
		code   string
		detail string
	}{
		"/v1/blocks/99":                      {404, CodeNotFound, "block 99"},
		"/v1/blocks/abc":                     {422, CodeInvalid, "want a height"},
		"/v1/blocks?limit=1000":              {422, CodeInvalid, "limit"},
		"/v1/blocks?befor=3":                 {422, CodeInvalid, "befor"},
		"/v1/balance/tst1xyz":                {422, CodeInvalid, "address"},
		"/v1/balance/" + foreign:             {422, CodeInvalid, "another network"},
		"/v1/proof/" + nowhere.Format("tst"): {503, CodeNotReady, "catching up"},
		"/v1/stake/" + nowhere.Format("tst"): {404, CodeNotFound, "never bonded"},
		"/v1/stake/" + foreign:               {422, CodeInvalid, "another network"},
		"/v1/tx/" + strings.Repeat("0", 64):  {404, CodeNotFound, "transaction"},
		"/v1/tx/zz":                          {422, CodeInvalid, "length"},
		"/v1/events?after=x":                 {422, CodeInvalid, "event id"},
		"/v1/events?kinds=blocks":            {422, CodeInvalid, "want some of"},
		"/v1/outputs?numbers=9":              {404, CodeNotFound, "outputs"},
		"/v1/outputs?numbers=1,x":            {422, CodeInvalid, "separated by commas"},
		"/v1/outputs?limit=5000":             {422, CodeInvalid, "limit"},
		"/v1/nothing":                        {404, CodeNotFound, "/docs"},
		"/v1/txs":                            {405, CodeNoMethod, "POST"},
	} {
		resp := r.do(t, http.MethodGet, path, nil)
		require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), path)
		var p Problem
		require.NoError(t, json.Unmarshal([]byte(read(t, resp)), &p), path)
		require.Equal(t, want.status, resp.StatusCode, "%s: %+v", path, p)
		require.Equal(t, want.status, p.Status, path)
		require.Equal(t, want.code, p.Code, path)
		require.Contains(t, p.Detail, want.detail, path)
		if p.Status == http.StatusServiceUnavailable {
			require.NotEmpty(t, resp.Header.Get("Retry-After"))
		}
	}
}

func TestUnhealthyNodeSaysWhy(t *testing.T) {
	r := start(t)
	r.fake.guard.Lock()
	r.health = Health{Live: true, Reasons: []string{"12 blocks behind"}}
	r.fake.guard.Unlock()
	for path, want := range map[string]int{"/v1/health": 503, "/readyz": 503, "/livez": 200} {
		status, body := r.get(t, path)
		require.Equal(t, want, status, path)
		if want == 503 {
			require.Contains(t, body, "12 blocks behind")
		}
	}
}

func TestDefectIsAnsweredWithoutDetails(t *testing.T) {
	r := start(t)
	r.fake.guard.Lock()
	r.crash = true
	r.fake.guard.Unlock()
	status, body := r.get(t, "/v1/health")
	require.Equal(t, http.StatusInternalServerError, status)
	require.Contains(t, body, CodeInternal)
	require.NotContains(t, body, "a defect")
}

func TestDescriptionNamesEveryPathAndTheProblem(t *testing.T) {
	r := start(t)
	_, body := r.get(t, "/openapi.json")
	for _, path := range []string{
		"/v1/status", "/v1/health", "/v1/peers", "/v1/validators", "/v1/blocks", "/v1/blocks/{ref}", "/v1/balance/{address}",
		"/v1/tx/{hash}", "/v1/proof/{address}", "/v1/tx", "/v1/txs", "/v1/events", "/v1/genesis",
		"/v1/stake/{address}", "/v1/stakes", "/v1/epoch",
	} {
		require.Contains(t, body, `"`+path+`":`)
	}
	require.Contains(t, body, `"Problem"`)
	require.NotContains(t, body, "ErrorModel")
	require.Contains(t, body, `"application/cbor"`)
}

func TestDocsPageLoadsNothingFromElsewhere(t *testing.T) {
	r := start(t)
	require.Equal(t, "/docs/", r.do(t, http.MethodGet, "/", nil).Header.Get("Location"))
	for _, path := range []string{"/docs/", "/docs/docs.js", "/docs/docs.css"} {
		resp := r.do(t, http.MethodGet, path, nil)
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
		require.NotContains(t, read(t, resp), "//cdn")
	}
}

func FuzzReferencesNeverPanic(f *testing.F) {
	f.Add("latest")
	f.Add("12")
	f.Add(strings.Repeat("ab", 32))
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseBlockRef(s)
		if err == nil {
			again, err := ParseBlockRef(ref.String())
			require.NoError(t, err)
			require.Equal(t, ref, again)
		}
	})
}
