//go:build peers

package peers

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Whoever reads the decision log from a pipe may go away, as "gate421 run | jq" does when jq ends. The site stays up,
// and the end says that lines are missing.
func TestReaderOfTheLogGoesAway(t *testing.T) {
	dir, address := folder(t), freePort(t)
	write(t, filepath.Join(dir, "index.html"), []byte("hello\n"))
	config := write(t, filepath.Join(dir, "gate421.yaml"), fmt.Appendf(nil, `
listen: {https: "%s", http: ""}
admin: ""
state: %q
certificates: {source: local}
verify: {resolver: "127.0.0.1:9", ranges: embedded}
sites: [{hosts: [shop.test], origin: %q, http2_crawl: refuse}]
`, address, filepath.Join(dir, "state"), "file:"+dir))
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program(t), "run", "--config", config)
	command.Stdout = writer
	trouble, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	defer command.Process.Kill()
	said := &bytes.Buffer{}
	for piece := make([]byte, 4096); !strings.Contains(said.String(), "clients must trust"); {
		n, err := trouble.Read(piece)
		said.Write(piece[:n])
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	reader.Close()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true}}}
	for range 5 {
		r, _ := http.NewRequest("GET", "https://"+address+"/", nil)
		r.Host = "shop.test"
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("status %d", answer.StatusCode)
		}
	}
	command.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(trouble)
	said.Write(rest)
	err = command.Wait()
	if command.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "takes no lines") || !strings.Contains(said.String(), "are missing at its end") {
		t.Errorf("ended with %v and said\n%s", err, said)
	}
}
