//go:build peers

package peers

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// systemd reads the unit without a complaint. The program, which is not installed here, is the one under test.
func TestSystemdUnit(t *testing.T) {
	analyze := tool(t, "systemd-analyze", fromSystemd)
	unit := read(t, filepath.Join("..", "systemd", "gate421.service"))
	if !bytes.Contains(unit, []byte("ExecStart=/usr/bin/gate421 run ")) {
		t.Error("the unit does not start /usr/bin/gate421 run")
	}
	unit = bytes.ReplaceAll(unit, []byte("/usr/bin/gate421"), []byte(program(t)))
	folder := t.TempDir()
	file := write(t, filepath.Join(folder, "gate421.service"), unit)
	sockets := write(t, filepath.Join(folder, "gate421.socket"), read(t, filepath.Join("..", "systemd", "gate421.socket")))
	said, err := run(t, analyze, "verify", "--man=no", "--recursive-errors=no", file, sockets)
	if err != nil || strings.TrimSpace(said) != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, said)
	}
	broken := bytes.Replace(unit, []byte("ExecStart="), []byte("ExecStrat="), 1)
	if _, err := run(t, analyze, "verify", "--man=no", "--recursive-errors=no", write(t, filepath.Join(t.TempDir(), "gate421.service"), broken)); err == nil {
		t.Error("systemd-analyze verify takes a broken unit: it proves nothing")
	}
}
