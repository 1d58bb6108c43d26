package main

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
)

const oneSite = "sites: [{hosts: [shop.test], origin: $echo, http2_crawl: %s}]\n"

// reload is what SIGHUP does.
func (s *setting) reload() { s.gateway.reload(s.load, true) }

// fromGooglebot is a request of the genuine crawler over HTTP/2.
func fromGooglebot(url string) call {
	return call{method: http.MethodGet, url: url, from: local("127.0.0.2"), proto: "HTTP/2.0", agent: crawlerAgent}
}

func TestReloadFollowsTheRules(t *testing.T) {
	s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
	ask := func(wanted int, reason string) map[string]any {
		t.Helper()
		got, line := s.recorded(fromGooglebot("https://shop.test/"))
		if got.status != wanted || line["reason"] != reason {
			t.Errorf("status %d, reason %v; wanted %d, %s", got.status, line["reason"], wanted, reason)
		}
		return line
	}
	before := ask(421, "refused")
	s.write(fmt.Sprintf(oneSite, "observe"))
	s.reload()
	reloaded := s.log.wait(map[string]string{"event": "reload", "error": ""})
	after := ask(200, "observed")
	if before["config"] == after["config"] || after["config"] != reloaded["config"] || before["config"] == nil {
		t.Errorf("the configuration was %v, then %v, and is %v", before["config"], reloaded["config"], after["config"])
	}
	if !strings.Contains(s.trouble.String(), fmt.Sprintf("gate421: configuration %v is in use\n", after["config"])) {
		t.Errorf("stderr does not say so: %s", s.trouble)
	}
	s.write("crawlers: [adsbot-google]\n" + fmt.Sprintf(oneSite, "refuse"))
	s.reload()
	ask(200, "no_claim")
	s.write(fmt.Sprintf(oneSite, "{misdirected: this}"))
	s.reload()
	ask(200, "no_claim")
	s.write(fmt.Sprintf(oneSite, "refuse"))
	s.reload()
	if again := ask(421, "refused"); again["config"] != before["config"] {
		t.Errorf("the same text is configuration %v, then %v", before["config"], again["config"])
	}
}

func TestReloadKeepsWhatIsInUse(t *testing.T) {
	good := "listen: {https: \"127.0.0.1:0\", http: \"\"}\n" + fmt.Sprintf(oneSite, "refuse")
	restart := func(keys string) string {
		return "gate421: " + keys + " changed, which only a restart takes up\nhint: restart gate421, or undo that part of the change\ngate421: the configuration so far stays in use\n"
	}
	s := startGateway(t, good)
	version := s.log.wait(map[string]string{"event": "start"})["config"]
	for _, test := range []struct{ name, text, said, logged string }{
		{"a wrong file", strings.Replace(strings.Replace(good, "refuse", "refuses", 1), "$echo", "http://127.0.0.1:30000", 1), "gate421.yaml:8:75: site \"shop.test\": http2_crawl: must be refuse, observe or allow", "http2_crawl: must be"},
		{"listen", strings.Replace(good, "127.0.0.1:0", "127.0.0.1:8443", 1), restart("listen"), "listen changed"},
		{"admin", "admin: \"127.0.0.1:0\"\n" + good, restart("admin"), "admin changed"},
		{"state", "state: $folder/elsewhere\n" + good, restart("state"), "state changed"},
		{"verify", "verify: {resolver: \"$dns\", wait: 4s, ranges: embedded}\n" + good, restart("verify"), "verify changed"},
		{"limits", "limits: {drain_time: 2s, streams: 50}\n" + good, restart("limits"), "limits changed"},
		{"two keys", "admin: \"127.0.0.1:0\"\nlimits: {drain_time: 2s, streams: 50}\n" + good, restart("admin, limits"), "admin, limits changed"},
		{"a key that could be followed and one that cannot", "admin: \"127.0.0.1:0\"\nlog: {file: $folder/other.log}\n" + good, restart("admin"), "admin changed"},
		{"certificates that are not there", "certificates: {source: files, files: [{cert: /nowhere/a.pem, key: /nowhere/a.key}]}\n" + good, "nowhere", "nowhere"},
		{"a log that cannot be opened", "log: {file: /nowhere/at/all.log}\n" + good, "decision log \"/nowhere/at/all.log\": no such file or directory", "nowhere"},
		{"an origin that is not there", strings.Replace(good, "$echo", "file:/nowhere/at/all", 1), `gate421: site "shop.test": origin "file:/nowhere/at/all": `, "nowhere"},
		{"no file", "", "gate421: configuration \"" + s.file + "\" cannot be read: no such file or directory\nhint: ", "cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.text == "" {
				if err := os.Remove(s.file); err != nil {
					t.Fatal(err)
				}
			} else {
				s.write(test.text)
			}
			said := len(s.trouble.String())
			load := (&runCommand{configFile: configFile{s.file}}).configuration
			s.gateway.reload(load, true)
			if news := s.trouble.String()[said:]; !strings.Contains(news, test.said) || !strings.HasSuffix(news, "gate421: the configuration so far stays in use\n") {
				t.Errorf("stderr says\n%s\nwanted\n%s", news, test.said)
			}
			line := s.log.wait(map[string]string{"event": "reload"})
			if words, _ := line["error"].(string); !strings.Contains(words, test.logged) || strings.Contains(words, "\n") || line["config"] != version {
				t.Errorf("the log says %v", line)
			}
			if got, line := s.recorded(fromGooglebot("https://shop.test/")); got.status != 421 || line["config"] != version {
				t.Errorf("afterwards status %d, %v", got.status, line)
			}
		})
	}
}

// TestReloadTakesUpHosts adds a site and takes one away, under a connection that stays.
func TestReloadTakesUpHosts(t *testing.T) {
	s := startGateway(t, fmt.Sprintf(oneSite, "observe"))
	if got := s.do(t.Context(), call{method: "GET", url: "https://www.shop.test/", proto: "HTTP/2.0", from: "127.0.0.1"}); got.err == nil {
		t.Errorf("a host that is not there yet answers %d", got.status)
	}
	s.write("sites: [{hosts: [shop.test, www.shop.test], origin: $echo, http2_crawl: observe}, {hosts: [other.test], origin: $echo, http2_crawl: observe}]")
	s.reload()
	for _, url := range []string{"https://www.shop.test/", "https://other.test/", "https://shop.test/"} {
		if got := s.get(t, url, "127.0.0.1", "HTTP/2.0", "browser"); got.status != http.StatusOK {
			t.Errorf("%s: %d", url, got.status)
		}
		s.log.decision()
	}
	s.write("sites: [{hosts: [other.test], origin: $echo, http2_crawl: observe}]")
	s.reload()
	if got := s.do(t.Context(), call{method: "GET", url: "https://shop.test/", proto: "HTTP/2.0", from: "127.0.0.1"}); got.err == nil {
		t.Errorf("a host that is gone answers %d", got.status)
	}
	if got := s.get(t, "https://other.test/", "127.0.0.1", "HTTP/2.0", "browser"); got.status != http.StatusOK {
		t.Errorf("%d", got.status)
	}
}

// TestReloadTakesUpCertificates goes from the local authority to files and back.
func TestReloadTakesUpCertificates(t *testing.T) {
	s := startGateway(t, fmt.Sprintf(oneSite, "observe"))
	local := s.roots
	s.write("certificates: " + selfSignedFor(t, "shop.test") + "\n" + fmt.Sprintf(oneSite, "observe"))
	s.reload()
	if got := s.do(t.Context(), call{method: "GET", url: "https://shop.test/", proto: "HTTP/2.0", from: "127.0.0.1"}); got.err == nil || !strings.Contains(got.err.Error(), "failed to verify certificate") {
		t.Errorf("the certificate is still the local authority's: %d %v", got.status, got.err)
	}
	s.write(fmt.Sprintf(oneSite, "observe"))
	s.reload()
	s.roots = local
	if got := s.get(t, "https://shop.test/", "127.0.0.1", "HTTP/2.0", "browser"); got.status != http.StatusOK {
		t.Errorf("%d", got.status)
	}
}

// TestReloadMovesTheLog changes the log's file, then what is written there, under load: no line is lost or written twice.
func TestReloadMovesTheLog(t *testing.T) {
	s := startGateway(t, "log: {file: $folder/one.log}\n"+fmt.Sprintf(oneSite, "observe"))
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if got := s.do(context.Background(), call{method: "GET", url: fmt.Sprint("https://shop.test/?", asked.Add(1)), proto: "HTTP/2.0", agent: browserAgent, from: "127.0.0.1"}); got.status != 200 {
					t.Errorf("%d %v", got.status, got.err)
				}
			}
		})
	}
	first := s.log.wait(map[string]string{"event": "start"})
	s.log.decision()
	for _, log := range []string{"{file: $folder/two.log}", "{file: $folder/two.log, query: drop}", "{file: $folder/two.log, scope: crawlers}", "{file: $folder/three.log}"} {
		s.write("log: " + log + "\n" + fmt.Sprintf(oneSite, "observe"))
		s.reload()
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	clients.Wait()
	s.close()
	seen := map[string]int{}
	var boots []any
	for _, name := range []string{"one", "two", "three"} {
		book := &logbook{t: t, path: filepath.Join(s.folder, name+".log")}
		book.poll()
		last := map[any]float64{}
		for _, line := range book.lines {
			if line["seq"].(float64) != last[line["boot"]]+1 {
				t.Errorf("%s.log: after %v comes %v", name, last[line["boot"]], line)
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
	return selfSigned(t, t.TempDir(), farAway(), host)
}

// TestReloadWhileServing changes the origin under a request that waits for the old one.
func TestReloadWhileServing(t *testing.T) {
	s := startGateway(t, strings.Replace(fmt.Sprintf(oneSite, "refuse"), "$echo", "$slow", 1))
	waiting := make(chan reply, 1)
	go func() {
		waiting <- s.do(context.Background(), call{method: "GET", url: "https://shop.test/old", proto: "HTTP/2.0", agent: browserAgent, from: "127.0.0.1"})
	}()
	<-s.origins.asked
	s.write(fmt.Sprintf(oneSite, "refuse"))
	s.reload()
	if got := s.get(t, "https://shop.test/new", "127.0.0.1", "HTTP/2.0", "browser"); got.status != http.StatusOK || !strings.Contains(got.body, "/new") {
		t.Errorf("the new origin gives %d %q", got.status, got.body)
	}
	fresh := s.log.decision()
	s.origins.answer()
	if got := <-waiting; got.err != nil || got.status != http.StatusOK || !strings.Contains(got.body, "/old") {
		t.Errorf("the old origin gives %d %q %v", got.status, got.body, got.err)
	}
	if old := s.log.decision(); old["config"] == fresh["config"] || old["origin"] == fresh["origin"] {
		t.Errorf("the record of the old request has the new configuration: %v", old)
	}
}

// TestReloadOpensTheLogAgain is logrotate's rename and SIGHUP.
func TestReloadOpensTheLogAgain(t *testing.T) {
	s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
	s.recorded(fromGooglebot("https://shop.test/1"))
	if err := os.Rename(s.log.path, s.log.path+".1"); err != nil {
		t.Fatal(err)
	}
	s.reload()
	s.log = &logbook{t: t, path: s.log.path}
	if got, line := s.recorded(fromGooglebot("https://shop.test/2")); got.status != 421 || line["path"] != "/2" {
		t.Errorf("status %d, and the new file has %v", got.status, line)
	}
}

// TestReloadMeetsTheEnd lets SIGHUP and SIGTERM come together.
func TestReloadMeetsTheEnd(t *testing.T) {
	s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
	gateway, load := s.gateway, s.load
	var reloads sync.WaitGroup
	begun := make(chan struct{})
	reloads.Go(func() {
		for i := range 20 {
			gateway.reload(load, true)
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
	for _, proto := range []string{"HTTP/2.0", "HTTP/1.1"} {
		t.Run(proto, func(t *testing.T) {
			s := startGateway(t, "limits: {drain_time: 10s}\n"+strings.Replace(fmt.Sprintf(oneSite, "refuse"), "$echo", "$slow", 1))
			waiting := make(chan reply, 1)
			go func() {
				waiting <- s.do(context.Background(), call{method: "GET", url: "https://shop.test/", proto: proto, agent: browserAgent, from: "127.0.0.1"})
			}()
			<-s.origins.asked
			address := s.gateway.secure.Addr().String()
			s.end()
			s.waitFor("nobody is let in any more", func() bool {
				c, err := net.Dial("tcp", address)
				if err == nil {
					c.Close()
				}
				return err != nil
			})
			s.origins.answer()
			if got := <-waiting; got.err != nil || got.status != http.StatusOK || !strings.Contains(got.body, "GET /") {
				t.Errorf("the open request gets %d %q %v", got.status, got.body, got.err)
			}
			s.close()
			s.log.decision()
			inOrder(t, s.log, true)
		})
	}
}

// TestShutdownEndsWhatTakesTooLong has an origin that never answers: the client is cut off, record and stop are written.
func TestShutdownEndsWhatTakesTooLong(t *testing.T) {
	s := startGateway(t, "limits: {drain_time: 100ms}\n"+strings.Replace(fmt.Sprintf(oneSite, "refuse"), "$echo", "$slow", 1))
	waiting := make(chan reply, 1)
	go func() {
		waiting <- s.do(context.Background(), call{method: "GET", url: "https://shop.test/", proto: "HTTP/2.0", agent: browserAgent, from: "127.0.0.1"})
	}()
	<-s.origins.asked
	s.close()
	if got := <-waiting; got.err == nil && got.status == http.StatusOK {
		t.Errorf("the request gets %d %q from an origin that has not answered", got.status, got.body)
	}
	if line := s.log.decision(); line["reason"] != "no_claim" || line["origin_error"] == nil {
		t.Errorf("the record is %v", line)
	}
	inOrder(t, s.log, true)
}

// TestShutdownKeepsWhoIsBeingLookedUp ends the gateway while the verdict of a request that was served is still due.
func TestShutdownKeepsWhoIsBeingLookedUp(t *testing.T) {
	s := newSetting(t)
	if err := s.dns.tell([]string{"fault silent"}); err != nil {
		t.Fatal(err)
	}
	s.write(fmt.Sprintf(oneSite, "refuse"))
	s.open()
	s.get(t, "https://shop.test/", local("127.0.0.2"), "HTTP/1.1", "googlebot")
	s.close()
	if line := s.log.decision(); line["reason"] != "http1" || line["verdict"] != "unknown" || line["status"] != 200.0 {
		t.Errorf("the record is %v", line)
	}
	inOrder(t, s.log, true)
}
