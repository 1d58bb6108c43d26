package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gate421/gate/server/servertest"
)

const oneSite = "sites: [{hosts: [shop.test], origin: $echo, http2_crawl: %s}]\n"

// reload is what SIGHUP does.
func (s *setup) reload() { s.gateway.Reload(s.load, true) }

// fromGooglebot is a request of the genuine crawler over HTTP/2.
func fromGooglebot(url string) servertest.Call {
	return servertest.Call{Method: http.MethodGet, URL: url, From: servertest.Local("127.0.0.2"), Proto: "HTTP/2.0",
		Agent: servertest.Googlebot}
}

func TestReloadFollowsTheRules(t *testing.T) {
	t.Parallel()
	s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
	ask := func(wanted int, reason string) map[string]any {
		t.Helper()
		got, line := s.Recorded(fromGooglebot("https://shop.test/"))
		if got.Status != wanted || line["reason"] != reason {
			t.Errorf("status %d, reason %v; wanted %d, %s", got.Status, line["reason"], wanted, reason)
		}
		return line
	}
	before := ask(421, "refused")
	s.Write(fmt.Sprintf(oneSite, "observe"))
	s.reload()
	reloaded := s.Log.Wait(map[string]string{"event": "reload", "error": ""})
	after := ask(200, "observed")
	if before["config"] == after["config"] || after["config"] != reloaded["config"] || before["config"] == nil {
		t.Errorf("the configuration was %v, then %v, and is %v", before["config"], reloaded["config"], after["config"])
	}
	if !strings.Contains(s.Stderr.String(), fmt.Sprintf("gate421: configuration %v is in use\n", after["config"])) {
		t.Errorf("stderr does not say so: %s", s.Stderr)
	}
	s.Write("crawlers: [adsbot-google]\n" + fmt.Sprintf(oneSite, "refuse"))
	s.reload()
	ask(200, "no_claim")
	s.Write(fmt.Sprintf(oneSite, "{misdirected: this}"))
	s.reload()
	ask(200, "no_claim")
	s.Write(fmt.Sprintf(oneSite, "refuse"))
	s.reload()
	if again := ask(421, "refused"); again["config"] != before["config"] {
		t.Errorf("the same text is configuration %v, then %v", before["config"], again["config"])
	}
}

func TestReloadKeepsWhatIsInUse(t *testing.T) {
	good := "listen: {https: \"127.0.0.1:0\", http: \"\"}\n" + fmt.Sprintf(oneSite, "refuse")
	restart := func(keys string) string {
		return "gate421: " + keys + " changed, which only a restart takes up\n" +
			"hint: restart gate421, or undo that part of the change\ngate421: the configuration so far stays in use\n"
	}
	s := startGateway(t, good)
	version := s.Log.Wait(map[string]string{"event": "start"})["config"]
	for _, test := range []struct{ name, text, said, logged string }{
		{"a wrong file", strings.Replace(strings.Replace(good, "refuse", "refuses", 1), "$echo", "http://127.0.0.1:30000", 1),
			"gate421.yaml:8:75: site \"shop.test\": http2_crawl: must be refuse, observe or allow", "http2_crawl: must be"},
		{"listen", strings.Replace(good, "127.0.0.1:0", "127.0.0.1:8443", 1), restart("listen"), "listen changed"},
		{"admin", "admin: \"127.0.0.1:0\"\n" + good, restart("admin"), "admin changed"},
		{"state", "state: $folder/elsewhere\n" + good, restart("state"), "state changed"},
		{"verify", "verify: {resolver: \"$dns\", wait: 4s, ranges: embedded}\n" + good, restart("verify"), "verify changed"},
		{"limits", "limits: {drain_time: 2s, streams: 50}\n" + good, restart("limits"), "limits changed"},
		{"two keys", "admin: \"127.0.0.1:0\"\nlimits: {drain_time: 2s, streams: 50}\n" + good, restart("admin, limits"),
			"admin, limits changed"},
		{"a key that could be followed and one that cannot",
			"admin: \"127.0.0.1:0\"\nlog: {file: $folder/other.log}\n" + good, restart("admin"), "admin changed"},
		{"certificates that are not there",
			"certificates: {source: files, files: [{cert: /nowhere/a.pem, key: /nowhere/a.key}]}\n" + good, "nowhere",
			"nowhere"},
		{"a log that cannot be opened", "log: {file: /nowhere/at/all.log}\n" + good,
			"decision log \"/nowhere/at/all.log\": no such file or directory", "nowhere"},
		{"an origin that is not there", strings.Replace(good, "$echo", "file:/nowhere/at/all", 1),
			`gate421: site "shop.test": origin "file:/nowhere/at/all": `, "nowhere"},
		{"no file", "", "gate421: configuration \"" + s.File + "\" cannot be read: no such file or directory\n",
			"cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.text == "" {
				if err := os.Remove(s.File); err != nil {
					t.Fatal(err)
				}
			} else {
				s.Write(test.text)
			}
			said := len(s.Stderr.String())
			s.gateway.Reload(s.load, true)
			if news := s.Stderr.String()[said:]; !strings.Contains(news, test.said) ||
				!strings.HasSuffix(news, "gate421: the configuration so far stays in use\n") {
				t.Errorf("stderr says\n%s\nwanted\n%s", news, test.said)
			}
			line := s.Log.Wait(map[string]string{"event": "reload"})
			if words, _ := line["error"].(string); !strings.Contains(words, test.logged) || strings.Contains(words, "\n") ||
				line["config"] != version {
				t.Errorf("the log says %v", line)
			}
			if got, line := s.Recorded(fromGooglebot("https://shop.test/")); got.Status != 421 || line["config"] != version {
				t.Errorf("afterwards status %d, %v", got.Status, line)
			}
		})
	}
}

// TestReloadTakesUpHosts adds a site and takes one away, under a connection that stays.
func TestReloadTakesUpHosts(t *testing.T) {
	t.Parallel()
	s := startGateway(t, fmt.Sprintf(oneSite, "observe"))
	if got := s.Do(t.Context(), servertest.Call{Method: "GET", URL: "https://www.shop.test/", Proto: "HTTP/2.0",
		From: "127.0.0.1"}); got.Err == nil {
		t.Errorf("a host that is not there yet answers %d", got.Status)
	}
	s.Write("sites: [{hosts: [shop.test, www.shop.test], origin: $echo, http2_crawl: observe}, {hosts: [other.test], " +
		"origin: $echo, http2_crawl: observe}]")
	s.reload()
	for _, url := range []string{"https://www.shop.test/", "https://other.test/", "https://shop.test/"} {
		if got := s.Get(t, url, "127.0.0.1", "HTTP/2.0", "browser"); got.Status != http.StatusOK {
			t.Errorf("%s: %d", url, got.Status)
		}
		s.Log.Decision()
	}
	s.Write("sites: [{hosts: [other.test], origin: $echo, http2_crawl: observe}]")
	s.reload()
	if got := s.Do(t.Context(), servertest.Call{Method: "GET", URL: "https://shop.test/", Proto: "HTTP/2.0",
		From: "127.0.0.1"}); got.Err == nil {
		t.Errorf("a host that is gone answers %d", got.Status)
	}
	if got := s.Get(t, "https://other.test/", "127.0.0.1", "HTTP/2.0", "browser"); got.Status != http.StatusOK {
		t.Errorf("status %d, want 200", got.Status)
	}
}

// TestReloadTakesUpCertificates goes from the local authority to files and back.
func TestReloadTakesUpCertificates(t *testing.T) {
	t.Parallel()
	s := startGateway(t, fmt.Sprintf(oneSite, "observe"))
	local := s.Roots
	s.Write("certificates: " + selfSignedFor(t, "shop.test") + "\n" + fmt.Sprintf(oneSite, "observe"))
	s.reload()
	if got := s.Do(t.Context(), servertest.Call{Method: "GET", URL: "https://shop.test/", Proto: "HTTP/2.0",
		From: "127.0.0.1"}); got.Err == nil || !strings.Contains(got.Err.Error(), "failed to verify certificate") {
		t.Errorf("the certificate is still the local authority's: %d %v", got.Status, got.Err)
	}
	s.Write(fmt.Sprintf(oneSite, "observe"))
	s.reload()
	s.Roots = local
	if got := s.Get(t, "https://shop.test/", "127.0.0.1", "HTTP/2.0", "browser"); got.Status != http.StatusOK {
		t.Errorf("status %d, want 200", got.Status)
	}
}

// TestReloadMovesTheLog changes the log's file, then what is written there, under load: no line is lost or written
// twice.
func TestReloadMovesTheLog(t *testing.T) {
	t.Parallel()
	s := startGateway(t, "log: {file: $folder/one.log}\n"+fmt.Sprintf(oneSite, "observe"))
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if got := s.Do(context.Background(), servertest.Call{Method: "GET",
					URL: fmt.Sprint("https://shop.test/?", asked.Add(1)), Proto: "HTTP/2.0", Agent: servertest.Browser,
					From: "127.0.0.1"}); got.Status != 200 {
					t.Errorf("status %d, %v; want 200", got.Status, got.Err)
				}
			}
		})
	}
	first := s.Log.Wait(map[string]string{"event": "start"})
	s.Log.Decision()
	for _, log := range []string{"{file: $folder/two.log}", "{file: $folder/two.log, query: drop}",
		"{file: $folder/two.log, scope: crawlers}", "{file: $folder/three.log}"} {
		s.Write("log: " + log + "\n" + fmt.Sprintf(oneSite, "observe"))
		s.reload()
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	clients.Wait()
	s.close()
	seen := map[string]int{}
	var boots []any
	for _, name := range []string{"one", "two", "three"} {
		book := servertest.NewLog(t, filepath.Join(s.Folder, name+".log"))
		book.Poll()
		last := map[any]float64{}
		for _, line := range book.Lines {
			if line["seq"].(float64) != last[line["boot"]]+1 {
				t.Errorf("%s.Log: after %v comes %v", name, last[line["boot"]], line)
			}
			last[line["boot"]] = line["seq"].(float64)
			if line["event"] == "decision" {
				seen[line["request_id"].(string)]++
			}
			if line["after_boot"] != nil {
				boots = append(boots, line["after_boot"])
			}
		}
	}
	if len(boots) != 4 || boots[0] != first["boot"] {
		t.Errorf("the logs follow %v", boots)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("request %s has %d lines", id, n)
		}
	}
	if missing := int(asked.Load()) - len(seen); missing < 0 || missing > int(asked.Load())/2 {
		t.Errorf("%d of %d requests have no line", missing, asked.Load()) // those while only crawlers have one
	}
}

func selfSignedFor(t *testing.T, host string) string {
	t.Helper()
	return servertest.SelfSigned(t, t.TempDir(), time.Now().Add(1000*time.Hour), host)
}

// TestReloadWhileServing changes the origin under a request that waits for the old one.
func TestReloadWhileServing(t *testing.T) {
	t.Parallel()
	s := startGateway(t, strings.Replace(fmt.Sprintf(oneSite, "refuse"), "$echo", "$slow", 1))
	waiting := make(chan servertest.Reply, 1)
	go func() {
		waiting <- s.Do(context.Background(), servertest.Call{Method: "GET", URL: "https://shop.test/old", Proto: "HTTP/2.0",
			Agent: servertest.Browser, From: "127.0.0.1"})
	}()
	<-s.Origins.Asked
	s.Write(fmt.Sprintf(oneSite, "refuse"))
	s.reload()
	if got := s.Get(t, "https://shop.test/new", "127.0.0.1", "HTTP/2.0", "browser"); got.Status != http.StatusOK ||
		!strings.Contains(got.Body, "/new") {
		t.Errorf("the new origin gives %d %q", got.Status, got.Body)
	}
	fresh := s.Log.Decision()
	s.Origins.Release()
	if got := <-waiting; got.Err != nil || got.Status != http.StatusOK || !strings.Contains(got.Body, "/old") {
		t.Errorf("the old origin gives %d %q %v", got.Status, got.Body, got.Err)
	}
	if old := s.Log.Decision(); old["config"] == fresh["config"] || old["origin"] == fresh["origin"] {
		t.Errorf("the record of the old request has the new configuration: %v", old)
	}
}

// TestReloadOpensTheLogAgain is logrotate's rename and SIGHUP.
func TestReloadOpensTheLogAgain(t *testing.T) {
	t.Parallel()
	s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
	s.Recorded(fromGooglebot("https://shop.test/1"))
	if err := os.Rename(s.Log.Path, s.Log.Path+".1"); err != nil {
		t.Fatal(err)
	}
	s.reload()
	s.Log = servertest.NewLog(t, s.Log.Path)
	if got, line := s.Recorded(fromGooglebot("https://shop.test/2")); got.Status != 421 || line["path"] != "/2" {
		t.Errorf("status %d, and the new file has %v", got.Status, line)
	}
}

// TestReloadMeetsTheEnd lets SIGHUP and SIGTERM come together.
func TestReloadMeetsTheEnd(t *testing.T) {
	t.Parallel()
	s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
	gateway, load := s.gateway, s.load
	var reloads sync.WaitGroup
	begun := make(chan struct{})
	reloads.Go(func() {
		for i := range 20 {
			gateway.Reload(load, true)
			if i == 3 {
				close(begun)
			}
		}
	})
	<-begun
	s.close()
	reloads.Wait()
}

func TestShutdownFinishesWhatIsOpen(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"HTTP/2.0", "HTTP/1.1"} {
		t.Run(proto, func(t *testing.T) {
			s := startGateway(t, "limits: {drain_time: 10s}\n"+strings.Replace(fmt.Sprintf(oneSite, "refuse"), "$echo", "$slow",
				1))
			waiting := make(chan servertest.Reply, 1)
			go func() {
				waiting <- s.Do(context.Background(), servertest.Call{Method: "GET", URL: "https://shop.test/", Proto: proto,
					Agent: servertest.Browser, From: "127.0.0.1"})
			}()
			<-s.Origins.Asked
			address := s.HTTPS
			s.end()
			s.WaitFor("nobody is let in any more", func() bool {
				c, err := net.Dial("tcp", address)
				if err == nil {
					c.Close()
				}
				return err != nil
			})
			s.Origins.Release()
			if got := <-waiting; got.Err != nil || got.Status != http.StatusOK || !strings.Contains(got.Body, "GET /") {
				t.Errorf("the open request gets %d %q %v", got.Status, got.Body, got.Err)
			}
			s.close()
			s.Log.Decision()
			s.Log.CheckOrder(true)
		})
	}
}

// TestShutdownEndsWhatTakesTooLong has an origin that never answers: the client is cut off, record and stop are
// written.
func TestShutdownEndsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	s := startGateway(t, "limits: {drain_time: 100ms}\n"+strings.Replace(fmt.Sprintf(oneSite, "refuse"), "$echo", "$slow",
		1))
	waiting := make(chan servertest.Reply, 1)
	go func() {
		waiting <- s.Do(context.Background(), servertest.Call{Method: "GET", URL: "https://shop.test/", Proto: "HTTP/2.0",
			Agent: servertest.Browser, From: "127.0.0.1"})
	}()
	<-s.Origins.Asked
	s.close()
	if got := <-waiting; got.Err == nil && got.Status == http.StatusOK {
		t.Errorf("the request gets %d %q from an origin that has not answered", got.Status, got.Body)
	}
	if line := s.Log.Decision(); line["reason"] != "no_claim" || line["origin_error"] == nil {
		t.Errorf("the record is %v", line)
	}
	s.Log.CheckOrder(true)
}

// TestShutdownKeepsWhoIsBeingLookedUp ends the gateway while the verdict of a request that was served is still due.
func TestShutdownKeepsWhoIsBeingLookedUp(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	if err := s.DNS.Apply([]string{"fault silent"}); err != nil {
		t.Fatal(err)
	}
	s.Write(fmt.Sprintf(oneSite, "refuse"))
	s.open()
	s.Get(t, "https://shop.test/", servertest.Local("127.0.0.2"), "HTTP/1.1", "googlebot")
	s.close()
	if line := s.Log.Decision(); line["reason"] != "http1" || line["verdict"] != "unknown" || line["status"] != 200.0 {
		t.Errorf("the record is %v", line)
	}
	s.Log.CheckOrder(true)
}
