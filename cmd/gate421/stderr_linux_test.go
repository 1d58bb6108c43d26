package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gate421/gate/server/servertest"
)

// TestStuckStandardErrorHoldsNobodyUp runs the program with a standard error that nobody reads. The request that trips
// the guard is answered, so are those after it; a reload goes through, and the program ends when it is told to.
func TestStuckStandardErrorHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for _, reads := range []bool{false, true} {
		t.Run(map[bool]string{false: "for ever", true: "for a while"}[reads], func(t *testing.T) {
			t.Parallel()
			s := newProgram(t)
			googlebot := servertest.Local("127.0.0.2")
			s.DNS.GooglebotAt(t, googlebot)
			s.Write("sites:\n- {hosts: [shop.test], origin: $echo, http2_crawl: refuse, guard: {refusals: 2, within: 1m}}\n")
			since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
			tripping := `{"shop.test": {"refusals": 7, "since": "` + since + `", "tripped": false}}`
			if err := os.WriteFile(filepath.Join(s.State(), "guard.json"), []byte(tripping), 0o600); err != nil {
				t.Fatal(err)
			}
			read, write, _ := servertest.FillPipe(t)
			file, address := socket(t)
			c := activated(t, write, "https", []*os.File{file}, "run", "--config", s.File)
			s.Log = servertest.NewLog(t, filepath.Join(s.Folder, "decisions.log"))
			s.Log.Wait(map[string]string{"event": "start"})
			s.HTTPS = address
			s.Roots = servertest.Trusted(t, filepath.Join(s.State(), "local-ca", "root.pem"))
			for range 3 {
				if got := s.Get(t, "https://shop.test/", googlebot, "HTTP/2.0", "googlebot"); got.Status != 200 {
					t.Errorf("the crawler gets %d", got.Status)
				}
			}
			s.Log.Wait(map[string]string{"event": "guard", "what": "tripped"})
			if err := os.WriteFile(s.File, []byte("nonsense"), 0o600); err != nil {
				t.Fatal(err)
			}
			c.Process.Signal(syscall.SIGHUP)
			s.Log.Wait(map[string]string{"event": "reload"})
			said := make(chan string, 1)
			if reads {
				write.Close() // the program has the other one
				go func() {
					text, _ := io.ReadAll(read)
					said <- strings.TrimLeft(string(text), ".")
				}()
			}
			quit(t, c, &servertest.Transcript{})
			if !reads {
				return
			}
			text := <-said
			for _, want := range []string{
				`gate421: site "shop.test": refusing every crawler has stopped.`,
				"gate421: the configuration so far stays in use\n",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("stderr does not say %q:\n%s", want, text)
				}
			}
		})
	}
}
