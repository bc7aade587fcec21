package config

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// write makes a home folder with a configuration file and returns both paths.
func write(t *testing.T, text string) (home, path string) {
	t.Helper()
	home = t.TempDir()
	path = filepath.Join(home, FileName)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return home, path
}

func TestDefaultIsValid(t *testing.T) {
	c := Default()
	require.NoError(t, c.Validate())
}

func TestSampleEqualsDefaults(t *testing.T) {
	_, path := write(t, Sample())
	commented, _, err := Load(path, nil, nil)
	require.NoError(t, err)
	require.Equal(t, Default(), commented)

	// Settings are "#key = value", explanations "# text".
	active := regexp.MustCompile(`(?m)^#(\w)`).ReplaceAllString(Sample(), "$1")
	_, path = write(t, active)
	c, origins, err := Load(path, nil, nil)
	require.NoError(t, err)
	require.Equal(t, Default(), c)
	for key, o := range origins {
		require.Equal(t, SourceFile, o.Source, "the sample does not show %s", key)
	}
}

func TestLaterSourcesOverrideEarlierOnes(t *testing.T) {
	home, path := write(t, "[p2p]\nmax_peers = 10\nmdns = false\n[log]\nlevel = \"warn\"\n[consensus]\nview_timeout = \"3s\"\n")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String("home", "", "")
	BindFlags(flags)
	require.NoError(t, flags.Parse([]string{"--home", home, "--p2p-max-peers", "30", "--p2p-bootstrap", "/ip4/1.2.3.4/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"}))
	env := []string{"STARLING_P2P_MAX_PEERS=20", "STARLING_LOG_LEVEL=debug", "STARLING_P2P_LISTEN=/ip4/0.0.0.0/tcp/1, /ip4/0.0.0.0/tcp/2", "STARLING_SERVICE_HOST=10.0.0.1", "PATH=/bin"}

	c, origins, err := Load("", env, flags)
	require.NoError(t, err)
	require.Equal(t, 30, c.P2P.MaxPeers)
	require.False(t, c.P2P.MDNS)
	require.Equal(t, "debug", c.Log.Level)
	require.Equal(t, []string{"/ip4/0.0.0.0/tcp/1", "/ip4/0.0.0.0/tcp/2"}, c.P2P.Listen)
	require.Len(t, c.P2P.Bootstrap, 1)
	require.Equal(t, 3*time.Second, c.Consensus.ViewTimeout)
	require.Equal(t, Default().Mempool, c.Mempool)

	require.Equal(t, Origin{SourceFlag, "--p2p-max-peers"}, origins["p2p.max_peers"])
	require.Equal(t, Origin{SourceEnv, "STARLING_LOG_LEVEL"}, origins["log.level"])
	require.Equal(t, Origin{SourceFile, path + ":3"}, origins["p2p.mdns"])
	require.Equal(t, Origin{Source: SourceDefault}, origins["log.format"])
}

func TestPathsInTheFileStartAtHome(t *testing.T) {
	home, path := write(t, "genesis = \"net/genesis.json\"\n")
	c, _, err := Load(path, []string{"STARLING_HOME=" + home}, nil)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(home, "net/genesis.json"), c.GenesisPath())

	wd, err := os.Getwd()
	require.NoError(t, err)
	c, _, err = Load(path, []string{"STARLING_HOME=" + home, "STARLING_GENESIS=g.json"}, nil)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(wd, "g.json"), c.GenesisPath())
}

func TestMistakesNameTheirPlaceAndTheCure(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  []string
		want []string
	}{
		"unknown key":          {file: "\n[p2p]\nmax_peer = 3\n", want: []string{`:3: unknown key p2p.max_peer (did you mean p2p.max_peers?)`}},
		"unknown section":      {file: "[consensu]\nvalidate = true\n", want: []string{`:1: unknown key consensu (did you mean consensus?)`}},
		"wrong type":           {file: "[p2p]\nmdns = \"yes\"\n", want: []string{`:2: p2p.mdns: want true or false, have the text "yes"`}},
		"number as text":       {file: "[p2p]\n\n\nmax_peers = \"9\"", want: []string{`:4: p2p.max_peers: want a whole number, have the text "9"`}},
		"duration as number":   {file: "[mempool]\nttl = 10", want: []string{`:2: mempool.ttl: want a duration in quotes, such as "1s", have the number 10`}},
		"list of numbers":      {file: "[p2p]\nlisten = [1]", want: []string{`:2: p2p.listen: want a list of texts`, "the number 1 among them"}},
		"negative count":       {file: "[store]\nkeep_blocks = -1", want: []string{`:2: store.keep_blocks: want a whole number of 0 or more`}},
		"section as value":     {file: "p2p = 3", want: []string{`:1: unknown key p2p`}},
		"syntax":               {file: "[p2p\n", want: []string{`:1:`}},
		"dotted key":           {file: "p2p.max_pears = 3", want: []string{`:1: unknown key p2p.max_pears (did you mean p2p.max_peers?)`}},
		"unknown variable":     {env: []string{"STARLING_P2P_MAXPEERS=3"}, want: []string{`unknown variable STARLING_P2P_MAXPEERS (did you mean STARLING_P2P_MAX_PEERS?)`}},
		"mistyped variable":    {env: []string{"STARLING_P2P_MDNS=maybe"}, want: []string{`STARLING_P2P_MDNS: want true or false, have "maybe"`}},
		"all at once":          {file: "nonsense = 1\n[log]\nlevel = 3\n", env: []string{"STARLING_X=1"}, want: []string{":1: unknown key nonsense", ":3: log.level", "STARLING_X"}},
		"all values at once":   {file: "[log]\nlevel = \"inf\"\nformat = \"xml\"\n", want: []string{`log.level: "inf": want debug, info, warn, error (did you mean info?)`, "log.format"}},
		"public admin":         {file: "[admin]\nlisten = \"0.0.0.0:6060\"", want: []string{"only a loopback address"}},
		"bootstrap without id": {file: "[p2p]\nbootstrap = [\"/ip4/1.2.3.4/tcp/1\"]", want: []string{"must end in /p2p/"}},
		"idle above timeout":   {file: "[consensus]\nempty_block_interval = \"5s\"", want: []string{"below view_timeout"}},
		"origin with path":     {file: "[api]\ncors_origins = [\"https://a.example/x\"]", want: []string{"want an origin"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, path := write(t, c.file)
			_, _, err := Load(path, c.env, nil)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestMissingFileIsAnErrorOnlyIfNamed(t *testing.T) {
	_, _, err := Load("", []string{"STARLING_HOME=" + t.TempDir()}, nil)
	require.NoError(t, err)
	_, _, err = Load(filepath.Join(t.TempDir(), "no.toml"), nil, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, _, err = Load("", []string{"STARLING_CONFIG=/no/such.toml"}, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTOMLRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := Default()
		c.Genesis = rapid.StringMatching(`[ -~äλ\t\n]{1,12}`).Draw(r, "genesis")
		c.P2P.MaxPeers = rapid.IntRange(4, 10_000).Draw(r, "max_peers")
		c.P2P.NAT = rapid.Bool().Draw(r, "nat")
		c.Mempool.TTL = time.Duration(rapid.Int64Range(1, 1<<40).Draw(r, "ttl"))
		c.API.CORSOrigins = rapid.SliceOf(rapid.Just("https://a.example")).Draw(r, "origins")
		fields, sections := schema()
		settings, err := readTOML("x.toml", []byte(c.TOML()), fields, sections)
		require.NoError(r, err)
		for _, s := range settings {
			f, _ := find(fields, s.key)
			require.Equal(r, literal(f.value(c)), literal(s.value), s.key)
		}
	})
}

func TestSettingsShowEveryKeyWithOrigin(t *testing.T) {
	c, origins, err := Load("", []string{"STARLING_HOME=" + t.TempDir(), "STARLING_MEMPOOL_TTL=90s"}, nil)
	require.NoError(t, err)
	seen := map[string]Setting{}
	for _, s := range c.Settings(origins) {
		seen[s.Key] = s
	}
	require.Equal(t, "1m30s", seen["mempool.ttl"].Value)
	require.Equal(t, "STARLING_MEMPOOL_TTL", seen["mempool.ttl"].Origin.String())
	require.Equal(t, "default", seen["api.listen"].Origin.String())
	require.Len(t, seen, len(origins))
}

func FuzzFileNeverPanics(f *testing.F) {
	f.Add("[p2p]\nmax_peers = 3\n")
	f.Add("a.b.c = {x = [1, {y = 2}]}\n[[p2p]]\n")
	f.Add(Sample())
	fields, sections := schema()
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = readTOML("x.toml", []byte(text), fields, sections)
	})
}
