//go:build peers

package peers

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programVariable names the built program in the environment of the tests, so that those in a namespace share it.
const programVariable = "GATE421_PEERS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		os.Exit(m.Run())
	}
	folder, err := os.MkdirTemp("", "gate421-peers-")
	if err == nil {
		err = build(filepath.Join(folder, "gate421"))
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(folder)
	os.Exit(code)
}

func build(program string) error {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	build := exec.Command("go", "build", "-o", program, "./cmd/gate421")
	build.Dir = filepath.Dir(strings.TrimSpace(string(module)))
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./cmd/gate421: %w\n%s", err, bytes.TrimSpace(out))
	}
	return os.Setenv(programVariable, program)
}

// program is the path of the built program. It looks at every file of the module: go test remembers a result until
// something changes that the tests themselves have looked at, and what go build reads does not count.
func program(t *testing.T) string {
	t.Helper()
	top := filepath.Join("..", "..")
	filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil: // it went away meanwhile
		case d.IsDir() && path != top && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		default:
			os.Stat(path)
		}
		return nil
	})
	return os.Getenv(programVariable)
}

// tool finds a program from outside; from says where it comes from.
func tool(t *testing.T, name, from string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is missing: %s", name, from)
	return ""
}

// Where the tools come from.
const (
	fromNginx      = "apt-get install nginx"
	fromApache     = "apt-get install apache2"
	fromCurl       = "apt-get install curl"
	fromNghttp2    = "apt-get install nghttp2-client"
	fromIproute    = "apt-get install iproute2"
	fromSystemd    = "apt-get install systemd"
	fromPrometheus = "apt-get install prometheus, for its promtool"
	fromUtilLinux  = "apt-get install util-linux"
	fromH2spec     = "go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible, and its folder on PATH"
)

// folder is a test's folder that servers can read after they have given up root's rights.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
