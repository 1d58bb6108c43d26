package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStuckStandardErrorHoldsNobodyUp runs the program with a standard error that nobody reads. The request that trips
// the guard is answered, so are those after it; a reload goes through, and the program ends when it is told to.
func TestStuckStandardErrorHoldsNobodyUp(t *testing.T) {
	for _, reads := range []bool{false, true} {
		t.Run(map[bool]string{false: "for ever", true: "for a while"}[reads], func(t *testing.T) {
			t.Parallel()
			s := newSetting(t)
			googlebot := local("127.0.0.2")
			s.dns.googlebotAt(t, googlebot)
			s.write("sites:\n- {hosts: [shop.test], origin: $echo, http2_crawl: refuse, guard: {refusals: 2, within: 1m}}\n")
			since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
			tripping := `{"shop.test": {"refusals": 7, "since": "` + since + `", "tripped": false}}`
			if err := os.WriteFile(filepath.Join(s.state(), "guard.json"), []byte(tripping), 0o600); err != nil {
				t.Fatal(err)
			}
			read, write, _ := fillPipe(t)
			file, address := socket(t)
			c := activated(t, write, "https", []*os.File{file}, "run", "--config", s.file)
			s.log = &logbook{t: t, path: filepath.Join(s.folder, "decisions.log")}
			s.log.wait(map[string]string{"event": "start"})
			s.gateway = &gateway{secure: fixed(address)}
			s.roots = trusted(t, filepath.Join(s.state(), "local-ca", "root.pem"))
			for range 3 {
				if got := s.get(t, "https://shop.test/", googlebot, "HTTP/2.0", "googlebot"); got.status != 200 {
					t.Errorf("the crawler gets %d", got.status)
				}
			}
			s.log.wait(map[string]string{"event": "guard", "what": "tripped"})
			if err := os.WriteFile(s.file, []byte("nonsense"), 0o600); err != nil {
				t.Fatal(err)
			}
			c.Process.Signal(syscall.SIGHUP)
			s.log.wait(map[string]string{"event": "reload"})
			said := make(chan string, 1)
			if reads {
				write.Close() // the program has the other one
				go func() {
					text, _ := io.ReadAll(read)
					said <- strings.TrimLeft(string(text), ".")
				}()
			}
			quit(t, c, &transcript{})
			if !reads {
				return
			}
			text := <-said
			for _, want := range []string{
				`gate421: site "shop.test": refusing every crawler has stopped.`, "gate421: the configuration so far stays in use\n",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("stderr does not say %q:\n%s", want, text)
				}
			}
		})
	}
}
