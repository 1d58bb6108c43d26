package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"gate421/gate/config"
	"gate421/gate/hint"
	"gate421/gate/server/servertest"

	"go.uber.org/goleak"
)

// asProgram in the environment makes the test's own binary the program.
const asProgram = "GATE421_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	// These tests wait for timers, sockets and other processes more than for a processor.
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		flag.Set("test.parallel", "16")
	}
	goleak.VerifyTestMain(m,
		// Ends by itself within 5 s of its lock file's disappearance, and touches nothing after that.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		// One for each authority and account that the process has ever used.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		// The one goroutine of os/signal.
		goleak.IgnoreAnyFunction("os/signal.loop"))
}

// program is gate421 run in this process, with all that is around it.
type program struct {
	*servertest.Env
	end   context.CancelFunc // nil: it does not run
	ended chan error
}

// newProgram prepares everything but the program, which start starts.
func newProgram(t *testing.T) *program {
	return &program{Env: servertest.New(t), ended: make(chan error, 1)}
}

// start starts the program with the configuration that was written. It ends with the test, if not before, and then must
// have ended well.
func (p *program) start() {
	p.T.Helper()
	loaded, err := config.Load(p.File, crawlerNames())
	if err != nil {
		p.T.Fatal(hint.Message(err))
	}
	if p.Log.Path = loaded.Log.File; loaded.Log.File == "-" {
		p.Log.Path = p.Stdout.Path
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.end = cancel
	p.T.Cleanup(p.close)
	go func() {
		p.ended <- run(ctx, []string{"run", "--config", p.File}, strings.NewReader(""), p.Stdout, p.Stderr)
	}()
	p.WaitFor("it serves", func() bool {
		select {
		case err := <-p.ended:
			p.T.Fatalf("it ended with %v\n%s", err, p.Stderr)
		default:
		}
		return strings.Contains(p.Stderr.String(), "\ngate421: site ") // which is said last
	})
	address := func(before string) string {
		found := regexp.MustCompile(`(?m)^gate421: ` + before + `([0-9.]+:[0-9]+)`).FindStringSubmatch(p.Stderr.String())
		if found == nil {
			return ""
		}
		return found[1]
	}
	p.HTTPS, p.HTTP, p.Admin = address("serving https on "), address("serving http on "),
		address("page, metrics and health on http://")
	if _, err := os.Stat(p.RootFile()); err == nil {
		p.Roots = servertest.Trusted(p.T, p.RootFile())
	}
}

// close ends the program in good order; the second call does nothing.
func (p *program) close() {
	p.T.Helper()
	if p.end == nil {
		return
	}
	p.end()
	p.end = nil
	select {
	case err := <-p.ended:
		if err != nil {
			p.T.Errorf("the program ended with %v\n%s", err, p.Stderr)
		}
	case <-time.After(servertest.Patience):
		p.T.Fatal("the program does not end")
	}
}

// quiet runs a command and returns what it printed.
func quiet(ctx context.Context, args []string, stdin string) (stdout, stderr string, err error) {
	var out, errors servertest.Transcript
	err = run(ctx, args, strings.NewReader(stdin), &out, &errors)
	return out.String(), errors.String(), err
}
