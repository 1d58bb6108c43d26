//go:build peers

package peers

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// promtool has no complaint about the metrics of a gateway that serves, neither at its start nor after it has worked.
func TestMetricsPleasePromtool(t *testing.T) {
	promtool := tool(t, "promtool", fromPrometheus)
	g := serve(t, setup{admin: "127.0.0.1:0", sites: "  - {hosts: [" + shop + "], origin: 'http://" + onePage(t) + "', http2_crawl: refuse}\n"})
	_, page, _ := strings.Cut(g.await(t, "metrics and health on "), "metrics and health on ")
	for _, moment := range []string{"at the start", "after requests"} {
		metrics := fetch(t, page+"metrics")
		if n := strings.Count(metrics, "# TYPE gate421_"); n < 30 {
			t.Errorf("%s: only %d metrics", moment, n)
		}
		if said, err := check(t, promtool, metrics); err != nil || said != "" {
			t.Errorf("%s: promtool check metrics: %v\n%s", moment, err, said)
		}
		for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
			g.curl(t, visit{url: "https://" + shop + "/", proto: proto})
			g.curl(t, visit{url: "https://" + shop + "/", proto: proto, agent: "Googlebot/2.1"})
		}
	}
	for _, want := range []string{
		`gate421_origin_requests_total{result="2xx",site="` + shop + `"} 8`,
		`gate421_connections_total{protocol="http1"} 4`,
		`gate421_connections_total{protocol="http2"} 4`,
		`gate421_connections_open{protocol="http2"} 0`,
		`gate421_requests_in_flight{protocol="http2"} 0`,
		`gate421_log_ready 1`,
	} {
		metrics := ""
		for deadline := time.Now().Add(patience); !strings.Contains(metrics, want+"\n"); metrics = fetch(t, page+"metrics") {
			if time.Now().After(deadline) {
				t.Fatalf("no %s in\n%s", want, metrics)
			}
		}
	}
	if said, err := check(t, promtool, "# TYPE gate421_requests counter\ngate421_requests 1\n"); err == nil && said == "" {
		t.Error("promtool takes a counter without help and _total: it proves nothing")
	}
}

// check is what promtool says to metrics, on stdout and stderr.
func check(t *testing.T, promtool, metrics string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(metrics)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: patience}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, answer.StatusCode, err)
	}
	return string(text)
}
