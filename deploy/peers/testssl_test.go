//go:build peers

package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const fromTestssl = "apt-get install testssl.sh bsdextrautils dnsutils"

// What testssl.sh says about the TLS that a site's visitors get. Whatever is above INFO is either mended or listed here
// with the reason why it is none of the gateway's. The whole text is kept as the test's artifact (go test -artifacts).
func TestTestsslFindsNothingToMend(t *testing.T) {
	accepted := map[string]string{
		"engine_problem":        "about the openssl that testssl.sh runs with",
		"TLS_session_ticket":    "crypto/tls says 7 days for every ticket; the keys behind the tickets are new each day. Without tickets every visitor pays for a whole handshake",
		"cert_expirationStatus": "certificates of the local authority live for 7 days",
		"cert_notAfter":         "the same",
		"cert_revocation":       "the local authority revokes nothing",
		"DNS_CAArecord":         "the site owner's DNS",
		"security_headers":      "the origin's headers",
		"HSTS":                  "the origin's header: the gateway adds none to what is served",
	}
	dir := folder(t)
	write(t, filepath.Join(dir, "index.html"), []byte("hello\n"))
	g := serve(t, setup{sites: fmt.Sprintf(`
  - {hosts: [localhost, %s], origin: %q, http2_crawl: refuse}
`, shop, "file:"+dir)})
	found, text := filepath.Join(t.ArtifactDir(), "testssl.json"), filepath.Join(t.ArtifactDir(), "testssl.txt")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	// It exits with the number of what it did not like, and draws on a terminal's width.
	said, err := exec.CommandContext(ctx, tool(t, "testssl", fromTestssl), "--quiet", "--color", "0", "--warnings", "batch", "--sneaky",
		"--add-ca", g.root, "--jsonfile", found, "localhost:"+g.port).CombinedOutput()
	write(t, text, said)
	if ctx.Err() != nil {
		t.Fatalf("testssl did not end: %v\n%s", err, said)
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(read(t, found), &findings); err != nil || len(findings) < 100 {
		t.Fatalf("testssl left %d findings: %v\n%s", len(findings), err, said)
	}
	levels := map[string]int{}
	for _, f := range findings {
		levels[f.Severity]++
		if f.Severity == "OK" || f.Severity == "INFO" {
			continue
		}
		if why, known := accepted[f.ID]; known {
			t.Logf("%s %s: %s: %s", f.Severity, f.ID, f.Finding, why)
			continue
		}
		t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
	}
	t.Logf("%d findings: %v; the text is in %s", len(findings), levels, text)
}
