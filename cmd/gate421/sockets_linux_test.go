package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"gate421/gate/server/servertest"
)

// A unit may listen for IPv4 and IPv6 apart, and FileDescriptorName= is for all of it. A socket that is named for https
// must not be served without TLS.
func TestTwoSocketsOfOneName(t *testing.T) {
	t.Parallel()
	for _, names := range []string{"https:https", "https:http:https", "admin:admin"} {
		t.Run(names, func(t *testing.T) {
			s := newProgram(t)
			s.Write("listen: {https: \":443\", http: \":80\"}\nadmin: \"127.0.0.1:9421\"\n" +
				"sites: [{hosts: [shop.test], origin: $echo, http2_crawl: observe}]\n")
			var sockets []*os.File
			for range strings.Count(names, ":") + 1 {
				f, _ := socket(t)
				sockets = append(sockets, f)
			}
			stderr := &servertest.Transcript{}
			c := activated(t, stderr, names, sockets, "run", "--config", s.File)
			ended := make(chan error, 1)
			go func() { ended <- c.Wait() }()
			select {
			case err := <-ended:
				if err == nil || !strings.Contains(stderr.String(), "is one too many") {
					t.Errorf("%v, %s", err, stderr)
				}
			case <-time.After(servertest.Patience):
				t.Errorf("it serves\n%s", stderr)
				c.Process.Kill()
				<-ended
			}
		})
	}
}
