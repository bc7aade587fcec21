package driver

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, p2ptest.Leaks()...) }
