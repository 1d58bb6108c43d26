package server

import (
	"strings"
	"testing"

	"gate421/gate/config"
	"gate421/gate/server/servertest"
)

func TestConnectionsNeedFiles(t *testing.T) {
	for _, test := range []struct {
		wanted int
		files  uint64
		want   int
		says   string
	}{
		{16_384, 65_536, 16_384, ""},
		{16_384, 20_000, 9_744, ""}, // the default bends without a word
		{16_384, 1 << 63, 16_384, ""},
		{16_384, 0, 16_384, ""},
		{50_000, 65_536, 32_512, "limits.connections is 50000, but this process may open 65536 files only: at most 32512"},
		{20, 256, 16, "LimitNOFILE= in the systemd unit, ulimit -n in a shell) to 552"},
		{100, 1024, 100, ""},
	} {
		trouble := &servertest.Transcript{}
		g := &Gateway{config: &config.Config{Limits: config.Limits{Connections: test.wanted}}, stderr: trouble}
		if got := g.connections(test.files); got != test.want || !strings.Contains(trouble.String(), test.says) ||
			(test.says == "") != (trouble.String() == "") {
			t.Errorf("%d of %d files: %d, %q", test.wanted, test.files, got, trouble)
		}
	}
}
