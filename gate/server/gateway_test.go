package server

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"gate421/gate/config"
	"gate421/gate/hint"
	"gate421/gate/server/servertest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// These tests wait for timers, sockets and other processes more than for a processor.
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		flag.Set("test.parallel", "16")
	}
	goleak.VerifyTestMain(m,
		// Ends by itself within 5 s of its lock file's disappearance, and touches nothing after that.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		// One for each authority and account that the process has ever used.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"))
}

// setup is a running gateway with all that is around it.
type setup struct {
	*servertest.Env
	gateway *Gateway
	end     context.CancelFunc
	ended   chan error
}

// newSetup prepares everything but the gateway, which open starts.
func newSetup(t *testing.T) *setup {
	return &setup{Env: servertest.New(t), ended: make(chan error, 1)}
}

// open starts the gateway as the command run does. It ends with the test, if not before, and then must have ended well.
func (s *setup) open() {
	s.T.Helper()
	loaded, err := s.load()
	if err != nil {
		s.T.Fatal(hint.Message(err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	s.T.Cleanup(s.close)
	if s.gateway, err = Open(ctx, loaded, s.Stdout, s.Stderr); err != nil {
		s.T.Fatal(hint.Message(err))
	}
	s.HTTPS, s.HTTP, s.Admin = addressOf(s.gateway.httpsListener), addressOf(s.gateway.httpListener),
		addressOf(s.gateway.adminListener)
	if root := s.gateway.Root(); root != "" {
		s.Roots = servertest.Trusted(s.T, root)
	}
	s.Log = servertest.NewLog(s.T, loaded.Log.File)
	if loaded.Log.File == "-" {
		s.Log = servertest.NewLog(s.T, s.Stdout.Path)
	}
	s.gateway.Announce()
	gateway := s.gateway // which close forgets
	go func() { s.ended <- gateway.Serve(ctx) }()
}

func (s *setup) load() (*config.Config, error) {
	return config.Load(s.File, []string{"googlebot", "adsbot-google"})
}

// close ends the gateway in good order; the second call does nothing.
func (s *setup) close() {
	s.T.Helper()
	s.end()
	if s.gateway == nil {
		return
	}
	s.gateway = nil
	select {
	case err := <-s.ended:
		if err != nil {
			s.T.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(servertest.Patience):
		s.T.Fatal("the gateway does not end")
	}
}

// startGateway is a running gateway of this configuration, in which 127.0.0.2 is Googlebot.
func startGateway(t *testing.T, text string) *setup {
	t.Helper()
	s := newSetup(t)
	s.DNS.GooglebotAt(t, servertest.Local("127.0.0.2"))
	s.Write(text)
	s.open()
	return s
}
