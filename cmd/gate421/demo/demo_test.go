package demo

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gate421/gate/server"
	"gate421/gate/server/servertest"
)

// temporary is a folder of the test's, for all temporary files.
func temporary(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, name := range []string{"TMPDIR", "TEMP", "TMP"} {
		t.Setenv(name, folder)
	}
	return folder
}

// tourOf is the tour's story without what differs from run to run.
func tourOf(out string) string {
	return regexp.MustCompile(`127\.0\.0\.\d+`).ReplaceAllString(out, "ADDRESS")
}

const wantedTour = `
Googlebot, from ADDRESS
  HTTP/2.0  /robots.txt          200  allowed, verdict genuine, reverse name crawl-66-249-66-1.googlebot.com
  HTTP/2.0  /shop/               421  refused, verdict genuine, reverse name crawl-66-249-66-1.googlebot.com
  HTTP/1.1  /shop/               200  http1, verdict genuine, reverse name crawl-66-249-66-1.googlebot.com
  HTTP/2.0  /shop/shoes?page=2   421  refused, verdict genuine, reverse name crawl-66-249-66-1.googlebot.com
  HTTP/1.1  /shop/shoes?page=2   200  http1, verdict genuine, reverse name crawl-66-249-66-1.googlebot.com

A browser, from ADDRESS
  HTTP/2.0  /shop/               200  no_claim

An impostor from anywhere, from ADDRESS
  HTTP/2.0  /shop/               200  impostor

An impostor with a forged reverse name, from ADDRESS
  HTTP/2.0  /shop/               200  impostor, reverse name crawl-66-249-66-66.googlebot.com

Every decision was as it should be, and each is a line of the decision log.
`

func TestDemoOnce(t *testing.T) {
	for name, machine := range map[string][]string{"this machine": loopback(),
		"a loopback of one address": {"127.0.0.1"}} {
		t.Run(name, func(t *testing.T) {
			out, trouble, folder := &servertest.Transcript{}, &servertest.Transcript{}, temporary(t)
			if err := demonstrate(t.Context(), out, trouble, true, machine); err != nil {
				t.Fatalf("%v\n%s%s", err, out, trouble)
			}
			if got := tourOf(out.String()); !strings.HasSuffix(got, wantedTour) {
				t.Errorf("the tour reads\n%s\nwanted\n%s", got, wantedTour)
			}
			alone := "every visitor meets a gateway of its own"
			if strings.Contains(out.String(), alone) != (len(machine) == 1) {
				t.Errorf("with %d addresses the story begins %q", len(machine), out.String()[:200])
			}
			if trouble.String() != "" {
				t.Errorf("the tour says on stderr: %s", trouble)
			}
			if left, _ := os.ReadDir(folder); len(left) > 0 {
				t.Errorf("the demo left %v", left)
			}
		})
	}
}

func TestDemoServesUntilTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, folder := &servertest.Transcript{}, temporary(t)
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, out, io.Discard, false) }()
	s := &servertest.Env{T: t}
	s.WaitFor("the demo serves", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("it ended with %v: %s", err, out)
		default:
		}
		return strings.Contains(out.String(), "Serving until Ctrl-C.")
	})
	page := regexp.MustCompile(`Admin page[^:]*: (http://\S+)`).FindStringSubmatch(out.String())
	try := regexp.MustCompile(`curl --cacert (\S+) --resolve (\S+):(\d+):(\S+) https://(\S+):(\d+)/shop/`).FindStringSubmatch(out.String())
	if page == nil || try == nil || try[2] != try[5] || try[3] != try[6] {
		t.Fatalf("no admin page, or nothing to try: %s", out)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: servertest.Patience}
	answer, err := client.Get(page[1])
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK || !strings.Contains(string(text), demoHost) {
		t.Errorf("the admin page answers %d: %.200s", answer.StatusCode, text)
	}
	s.Roots = servertest.Trusted(t, try[1])
	s.HTTPS = net.JoinHostPort(try[4], try[3])
	if got := s.Get(t, "https://"+demoHost+"/shop/", "127.0.0.1", "HTTP/2.0", "browser"); got.Status != http.StatusOK ||
		!strings.Contains(got.Body, "Shop") {
		t.Errorf("what the demo says to try gives %d %q", got.Status, got.Body)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after Ctrl-C: %v", err)
		}
	case <-time.After(servertest.Patience):
		t.Fatal("it does not end")
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) > 0 {
		t.Errorf("the demo left %v", left)
	}
}

// TestDemoSeesWhatIsWrong lets Googlebot meet a gateway that does not know it: the tour has to say so.
func TestDemoSeesWhatIsWrong(t *testing.T) {
	out := &servertest.Transcript{}
	site, err := startSite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	play := &stage{out: out, messages: &server.Messages{To: io.Discard}, folder: t.TempDir(), origin: site,
		addresses: []string{"127.0.0.1"}, ended: make(chan error, len(visitors()))}
	defer func() {
		cancel()
		if err := play.wait(); err != nil {
			t.Error(err)
		}
	}()
	browser, _, err := play.gatewayFor(ctx, visitors()[1])
	if err != nil {
		t.Fatal(err)
	}
	play.gateways["Googlebot"] = browser // whose DNS has no reverse name for the address
	wrong, err := play.tour(ctx)
	if err != nil || wrong != 5 {
		t.Errorf("%d steps went wrong, %v; the five whose verdict differs should", wrong, err)
	}
	if strings.Count(out.String(), "WRONG: expected") != 5 ||
		!strings.Contains(out.String(), `WRONG: expected 421, refused, verdict "genuine"; the log says map[`) {
		t.Errorf("the story does not tell what is wrong:\n%s", out)
	}
}

// TestDemoInterrupted ends the demo before its tour is over: no hang, nothing left, and no success.
func TestDemoInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	folder := temporary(t)
	if err := Run(ctx, io.Discard, io.Discard, true); err == nil {
		t.Error("a tour that never took place is reported as right")
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("the demo left %v", left)
	}
}
