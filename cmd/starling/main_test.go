package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/api/apitest"
	"github.com/starlingmesh/starling/node/config"
	"github.com/starlingmesh/starling/node/events"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"starling": main}) }

// testAddress belongs to the secret key 0101…01 of the scripts.
func testAddress(t testing.TB) types.Address {
	t.Helper()
	key, err := keys.ParsePrivateKey(append([]byte{byte(keys.Secp256k1)}, bytes.Repeat([]byte{1}, 32)...))
	require.NoError(t, err)
	return types.AddressOf(key.Public().Bytes())
}

// chains are the networks behind running scripts, by their API.
type chainKey struct{}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			chain := apitest.New(map[types.Address]types.Drops{testAddress(t): 1_000_000_000})
			u, err := url.Parse(chain.Serve(env.T().(testing.TB)))
			if err != nil {
				return err
			}
			env.Values[chainKey{}] = chain
			env.Vars = append(env.Vars, "STARLING_API_LISTEN="+u.Host, "STARLING_HOME="+filepath.Join(env.WorkDir, "node"), "NO_COLOR=1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"hold":  func(ts *testscript.TestScript, _ bool, _ []string) { chainOf(ts).Hold() },
			"pass":  pass,
			"age":   age,
			"let":   let,
			"accuse": func(ts *testscript.TestScript, _ bool, args []string) {
				if !chainOf(ts).Accuse(args[0], types.DoubleVote) {
					ts.Fatalf("%s validates not", args[0])
				}
			},
		},
	})
}

func chainOf(ts *testscript.TestScript) *apitest.Chain { return ts.Value(chainKey{}).(*apitest.Chain) }

// pass decides blocks until so many epochs have ended: pass 2.
func pass(ts *testscript.TestScript, _ bool, args []string) {
	epochs, err := strconv.Atoi(args[0])
	ts.Check(err)
	chain := chainOf(ts)
	for range epochs {
		now, err := chain.Epoch(context.Background())
		ts.Check(err)
		chain.Pass(int(chain.Genesis().Params.LastOf(now.Epoch) - now.Height))
	}
}

// age decides some empty blocks: age 10.
func age(ts *testscript.TestScript, _ bool, args []string) {
	blocks, err := strconv.Atoi(args[0])
	ts.Check(err)
	chainOf(ts).Age(blocks)
}

// let sets a variable to a field of the JSON just printed: let ADDRESS private_address.
func let(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(`"` + args[1] + `": "?([^",\n]*)`).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no field %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// exits runs starling and checks the exit code: exits 2 wallet new.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("starling", args[1:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// starling runs a command line in this process at a fixed time.
func starling(ctx context.Context, api string, home string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	a := newApp(strings.NewReader(""), &out, &errs, []string{"STARLING_HOME=" + home, "STARLING_API_LISTEN=" + strings.TrimPrefix(api, "http://")})
	a.now = func() time.Time { return time.UnixMilli(apitest.Created).Add(time.Hour) }
	code = a.run(ctx, args)
	return out.String(), errs.String(), code
}

func TestGoldenOutput(t *testing.T) {
	chain := apitest.New(map[types.Address]types.Drops{testAddress(t): 1_000_000_000})
	api := chain.Serve(t)
	home := t.TempDir()
	secret, passphrase := filepath.Join(home, "secret"), filepath.Join(home, "pass")
	require.NoError(t, os.WriteFile(secret, []byte(strings.Repeat("01", 32)), 0o600))
	require.NoError(t, os.WriteFile(passphrase, []byte("secret\n"), 0o600))
	_, errs, code := starling(t.Context(), api, home, "wallet", "import", "alice", secret, "--passphrase-file", passphrase)
	require.Zero(t, code, errs)

	bob := types.AddressOf([]byte("bob")).Format(apitest.Prefix)
	for _, c := range []struct {
		name string
		args []string
		code int
	}{
		{"send", []string{"wallet", "send", "--from", "alice", "--to", bob, "--amount", "12.5", "--memo", "lunch", "--passphrase-file", passphrase}, 0},
		{"send-json", []string{"wallet", "send", "--from", "alice", "--to", bob, "--amount", "0.000001", "--json", "--passphrase-file", passphrase}, 0},
		{"send-refused", []string{"wallet", "send", "--from", "alice", "--to", bob, "--amount", "5000", "--passphrase-file", passphrase}, exitRejected},
		{"status", []string{"status"}, 0},
		{"peers", []string{"peers"}, 0},
		{"block-show", []string{"block", "show", "latest"}, 0},
		{"block-list", []string{"block", "list", "--limit", "2"}, 0},
		{"balance", []string{"wallet", "balance", "alice", bob}, 0},
		{"balance-json", []string{"wallet", "balance", "--json"}, 0},
		{"stake-bond", []string{"stake", "bond", "--from", "alice", "--amount", "250", "--name", "alice", "--passphrase-file", passphrase}, 0},
		{"stake-unbond", []string{"stake", "unbond", "--from", "alice", "--amount", "50", "--passphrase-file", passphrase}, 0},
		{"stake-unbond-refused", []string{"stake", "unbond", "--from", "alice", "--amount", "150", "--passphrase-file", passphrase}, exitRejected},
		{"stake-show", []string{"stake", "show"}, 0},
		{"stake-show-json", []string{"stake", "show", "alice", "--json"}, 0},
		{"stake-list", []string{"stake", "list"}, 0},
		{"stake-list-json", []string{"stake", "list", "--json"}, 0},
		{"stake-block", []string{"block", "show", "3"}, 0},
		{"epoch", []string{"epoch"}, 0},
		{"epoch-json", []string{"epoch", "--json"}, 0},
		{"help-bond", []string{"stake", "bond", "--help"}, 0},
		{"help-send", []string{"wallet", "send", "--help"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := starling(t.Context(), api, home, c.args...)
			require.Equal(t, c.code, code, errs)
			got := strings.NewReplacer(api, "http://API", home, "HOME", config.DefaultHome(), "~/.local/share/starling", newApp(nil, nil, nil, nil).defaultHome(), "~/.local/share/starling").Replace(out + errs)
			got = identities.ReplaceAllString(got, "12D3KooWidentity")
			golden(t, c.name, hashes.ReplaceAllStringFunc(got, func(h string) string { return strings.Repeat("h", len(h)) }))
		})
	}
}

// identities are made anew for every home.
var identities = regexp.MustCompile(`12D3KooW\w+`)

// hashes change with every detail of the formats; golden files are about looks.
var hashes = regexp.MustCompile(`\b[0-9a-f]{12,192}\b|\b[0-9a-f]{8},`)

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestEventsAreFollowedUntilInterrupted(t *testing.T) {
	chain := apitest.New(nil)
	api := chain.Serve(t)
	chain.Events().Publish(events.Block{Height: 1234, Txs: 1, Proposer: "ada", DecideMS: 120})
	chain.Events().Publish(events.Peer{ID: "bob-peer", Connected: true, Connections: 2})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := make(chan string, 10)
	a := newApp(nil, writerFunc(func(p []byte) (int, error) {
		lines <- string(p)
		return len(p), nil
	}), &bytes.Buffer{}, nil)
	code := make(chan int, 1)
	go func() { code <- a.run(ctx, []string{"events", "--after", "0", "--api", api}) }()
	require.Contains(t, <-lines, "1,234  00000000  1 transaction by ada in 120 ms")
	require.Contains(t, <-lines, "bob-peer joined  (2 connections now)")
	cancel()
	require.Equal(t, exitInterrupted, <-code)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestEveryCommandHasExamplesAndJSONFreeHelp(t *testing.T) {
	root := newRoot(newApp(nil, &bytes.Buffer{}, &bytes.Buffer{}, nil))
	for queue := root.Commands(); len(queue) > 0; queue = queue[1:] {
		c := queue[0]
		queue = append(queue, c.Commands()...)
		require.NotEmpty(t, c.Short, c.CommandPath())
		require.NotEmpty(t, c.Example, c.CommandPath())
		require.False(t, strings.HasSuffix(c.Short, "."), c.CommandPath())
	}
}

func TestExitCodesAreStable(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {fmt.Errorf("x"), 1}, {usage("x"), 2}, {errRefused, 4}, {context.DeadlineExceeded, 5}, {errInterrupted, 130}, {context.Canceled, 130},
	} {
		require.Equal(t, c.want, exitCode(c.err), "%v", c.err)
	}
}
