package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

func full() *Record {
	return &Record{
		Site: "example.com", Host: "www.example.com", Method: "GET", Path: "/shop/?a=1", Proto: "HTTP/2.0", ALPN: "h2", SNI: "www.example.com",
		ClientIP: netip.MustParseAddr("66.249.66.1"), Agent: "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
		Claim: "googlebot", Verdict: "genuine", VerdictSource: "dns", VerdictCause: "timeout", PTR: "crawl-66-249-66-1.googlebot.com", Verify: 12345 * time.Microsecond,
		Rule: "/shop/", State: "refuse", Action: "refuse", Reason: "refused", Would: "refuse", Status: 421, BytesOut: 98, Took: 250 * time.Microsecond,
		Origin: "http://127.0.0.1:3000", OriginStatus: 200, OriginTook: time.Millisecond, OriginError: "reset", RequestID: "00ff-1", Config: "0123456789ab",
	}
}

func lines(t *testing.T, text []byte) (out []map[string]any) {
	t.Helper()
	scanner := bufio.NewScanner(bytes.NewReader(text))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var m map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &m); err != nil {
			t.Fatalf("%q: %v", scanner.Text(), err)
		}
		out = append(out, m)
	}
	return out
}

func open(t *testing.T, c Config) *Log {
	t.Helper()
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLineHasEveryField(t *testing.T) {
	var out bytes.Buffer
	l := open(
		t,
		Config{
			File:   "-",
			Stdout: &out,
			Now:    func() time.Time { return time.Date(2026, 11, 22, 15, 4, 5, 678900000, time.FixedZone("", 3600)) },
		},
	)
	if err := l.Refusal(full()); err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"time":"2026-11-22T14:04:05.678900Z","boot":"` + l.Boot() + `","seq":1,"event":"decision","site":"example.com","host":"www.example.com",` +
		`"method":"GET","path":"/shop/?a=1","proto":"HTTP/2.0","alpn":"h2","sni":"www.example.com","client_ip":"66.249.66.1",` +
		`"agent":"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)","claim":"googlebot","verdict":"genuine","verdict_source":"dns",` +
		`"verdict_cause":"timeout","ptr":"crawl-66-249-66-1.googlebot.com","verify_seconds":0.012345,"rule":"/shop/","state":"refuse","action":"refuse",` +
		`"reason":"refused","would":"refuse","status":421,"bytes_out":98,"seconds":0.00025,"origin":"http://127.0.0.1:3000","origin_status":200,` +
		`"origin_seconds":0.001,"origin_error":"reset","request_id":"00ff-1","config":"0123456789ab"}` + "\n"
	if got := out.String(); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestEmptyFieldsAreLeftOut(t *testing.T) {
	var out bytes.Buffer
	l := open(t, Config{File: "-", Stdout: &out})
	l.Decision(&Record{Action: "serve", Reason: "no_claim"})
	l.Event("stop", Fields{"signal": ""})
	l.Close()
	got := lines(t, out.Bytes())
	if len(got) != 2 || len(got[0]) != 7 || len(got[1]) != 5 {
		t.Errorf("%v", got)
	}
}

func TestBoundsAndHostileValues(t *testing.T) {
	for _, test := range []struct{ name, value, want, cut string }{
		{"line breaks", "a\r\nb\u2028c\u0085d\u202e", "a\r\nb\ufffdc\ufffdd\ufffd", ""},
		{"quotes", `"},{"v":1`, `"},{"v":1`, ""},
		{"control characters", "\x00\x1b[31m\x7f", "\x00\x1b[31m\x7f", ""},
		{"invalid UTF-8", "a\xffb", "a\ufffdb", ""},
		{"long", strings.Repeat("x", 70000), strings.Repeat("x", 512), "agent"},
		{"long, cut inside a character", strings.Repeat("x", 511) + "üü", strings.Repeat("x", 511), "agent"},
		{"long and all continuation bytes", strings.Repeat("\x80", 600), "", "agent"},
	} {
		var out bytes.Buffer
		l := open(t, Config{File: "-", Stdout: &out})
		l.Decision(&Record{Agent: test.value})
		l.Close()
		if n := strings.Count(out.String(), "\n"); n != 1 ||
			strings.ContainsAny(strings.TrimSuffix(out.String(), "\n"), "\x00\x1b\x7f\r\n") {
			t.Errorf("%s: %q is not one clean line", test.name, out.String())
		}
		got := lines(t, out.Bytes())[0]
		agent, _ := got["agent"].(string)
		if test.want != "" && agent != test.want {
			t.Errorf("%s: agent %q, want %q", test.name, agent, test.want)
		}
		if cut := got["cut"]; test.cut == "" && cut != nil ||
			test.cut != "" && !slices.Equal(cut.([]any), []any{test.cut}) {
			t.Errorf("%s: cut %v, want %q", test.name, cut, test.cut)
		}
		if !utf8.ValidString(out.String()) {
			t.Errorf("%s: the line is not UTF-8", test.name)
		}
	}
}

func TestScopeAndTruncation(t *testing.T) {
	var out bytes.Buffer
	l := open(t, Config{File: "-", Stdout: &out, Privacy: Privacy{Truncate: true}})
	browser, crawler, six := full(), full(), full()
	browser.Status, crawler.Status = 200, 200
	browser.Claim, six.Claim, six.ClientIP = "", "", netip.MustParseAddr("2001:db8:1:2:3::4")
	l.Decision(browser)
	l.Decision(crawler)
	l.Decision(six)
	l.Close()
	var ips []any
	for _, line := range lines(t, out.Bytes()) {
		ips = append(ips, line["client_ip"])
	}
	if want := []any{"66.249.66.0", "66.249.66.1", "2001:db8:1::"}; !slices.Equal(ips, want) {
		t.Errorf("%v, want %v", ips, want)
	}
	out.Reset()
	l = open(t, Config{File: "-", Stdout: &out, Scope: ScopeCrawlers})
	l.Decision(browser)
	l.Decision(crawler)
	l.Close()
	if got := lines(t, out.Bytes()); len(got) != 1 || got[0]["claim"] != "googlebot" {
		t.Errorf("scope crawlers: %v", got)
	}
	out.Reset()
	l = open(t, Config{File: "-", Stdout: &out, Scope: ScopeCrawlers})
	l.Decision(&Record{Action: "reject", Reason: "misdirected", Status: 421})
	l.Close()
	if got := lines(t, out.Bytes()); len(got) != 1 {
		t.Errorf("scope crawlers hides a 421: %v", got)
	}
}

// faulty is an output that a test breaks: it fails after room bytes, or hangs while held.
type faulty struct {
	mu   sync.Mutex
	out  bytes.Buffer
	room int           // -1: no bound
	held chan struct{} // non-nil: a write waits until it is closed
}

func (f *faulty) Write(p []byte) (int, error) {
	f.mu.Lock()
	held := f.held
	f.mu.Unlock()
	if held != nil {
		<-held
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room >= 0 && len(p) > f.room {
		n := f.room
		f.out.Write(p[:n])
		f.room = 0
		return n, errors.New("no space left on device")
	}
	if f.room >= 0 {
		f.room -= len(p)
	}
	return f.out.Write(p)
}

func (f *faulty) setRoom(n int) { f.mu.Lock(); f.room = n; f.mu.Unlock() }

// A disk that fills up inside a line: the refusal fails, served lines are kept and written when there is room again,
// the torn line is closed, and seq shows no loss that is not told.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{room: -1}
		l := open(t, Config{File: "-", Stdout: disk})
		if err := l.Refusal(full()); err != nil {
			t.Fatal(err)
		}
		disk.setRoom(100)
		if err := l.Refusal(full()); err == nil {
			t.Fatal("a refusal that did not fit was confirmed")
		}
		if l.Ready() {
			t.Error("the log says it is ready after a failed write")
		}
		if err := l.Refusal(full()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("refusal while the disk is full: %v", err)
		}
		served := full()
		served.Action = "serve"
		for range 3 {
			l.Decision(served)
		}
		disk.setRoom(-1)
		time.Sleep(time.Second) // the fake clock's: lets the next try happen
		synctest.Wait()
		if !l.Ready() {
			t.Error("the log is not ready after a write that succeeded")
		}
		if err := l.Refusal(full()); err != nil {
			t.Error(err)
		}
		l.Close()
		var refusals, serves, broken int
		for _, line := range strings.Split(strings.TrimSuffix(disk.out.String(), "\n"), "\n") {
			var m map[string]any
			switch {
			case json.Unmarshal([]byte(line), &m) != nil:
				broken++
			case m["action"] == "refuse":
				refusals++
			case m["action"] == "serve":
				serves++
			}
		}
		if refusals != 2 || serves != 3 || broken != 1 {
			t.Errorf("%d refusals, %d served, %d broken; want 2, 3, 1", refusals, serves, broken)
		}
	})
}

// An output that hangs: the refusal is given up after Patience, service never waits, what overflows is told exactly.
func TestStalledOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{room: -1}
		l := open(t, Config{File: "-", Stdout: disk})
		l.Event("start", nil)
		synctest.Wait()
		held := make(chan struct{})
		disk.mu.Lock()
		disk.held = held
		disk.mu.Unlock()
		start := time.Now()
		if err := l.Refusal(full()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("refusal while the output hangs: %v", err)
		}
		if d := time.Since(start); d != 250*time.Millisecond {
			t.Errorf("waited %v", d)
		}
		start = time.Now()
		if err := l.Refusal(full()); !errors.Is(err, ErrUnavailable) {
			t.Errorf("second refusal: %v", err)
		}
		const served = maxQueueLines + 1000
		for range served {
			l.Decision(&Record{Action: "serve"})
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("service waited %v for the log", d)
		}
		close(held)
		synctest.Wait()
		l.Decision(&Record{Action: "serve"})
		l.Close()
		written, lost := 0, 0.0
		last := 0.0
		for _, line := range lines(t, disk.out.Bytes()) {
			if seq := line["seq"].(float64); seq <= last {
				t.Fatalf("seq %v after %v", seq, last)
			} else {
				last = seq
			}
			switch {
			case line["event"] == "gap":
				lost += line["lost"].(float64)
			case line["action"] == "serve":
				written++
			}
		}
		if written+int(lost) != served+1 || lost == 0 {
			t.Errorf("%d written + %v told lost, want %d", written, lost, served+1)
		}
	})
}

func TestConcurrentRefusalsShareWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	l := open(t, Config{File: path, Patience: 30 * time.Second})
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			for range 20 {
				r := full()
				if err := l.Refusal(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	text, err := os.ReadFile(path) // before Close: each Refusal has returned
	if err != nil {
		t.Fatal(err)
	}
	got := lines(t, text)
	for i, line := range got {
		if line["seq"] != float64(i+1) {
			t.Fatalf("line %d has seq %v", i+1, line["seq"])
		}
	}
	if len(got) != 1000 {
		t.Errorf("%d lines, want 1000", len(got))
	}
}

func TestTornLineIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	if err := os.WriteFile(path, []byte("{\"v\":1}\n{\"v\":1,\"ti"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, Config{File: path})
	l.Event("start", nil)
	l.Close()
	text, _ := os.ReadFile(path)
	if got := strings.Split(string(text), "\n"); len(got) != 4 || got[1] != `{"v":1,"ti` ||
		!strings.Contains(got[2], `"event":"start"`) {
		t.Errorf("%q", got)
	}
}

func TestReopenAfterRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "decisions.log")
	l := open(t, Config{File: path})
	if err := l.Refusal(full()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := l.Refusal(full()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".1"} {
		if text, err := os.ReadFile(name); err != nil || len(lines(t, text)) != 1 {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// A log whose path is gone and cannot be made again confirms nothing: its file has no name any more.
func TestVanishedFolderRefusesNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "decisions.log")
	l := open(t, Config{File: path})
	if err := l.Refusal(full()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.Refusal(full()); err == nil {
			t.Fatal("a refusal was confirmed into a file that nobody can find")
		}
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	served := full()
	served.Status = 200
	for deadline := time.Now().Add(10 * time.Second); !l.Ready(); {
		if l.Stats().QueueLines == 0 { // a full queue takes no refusal
			l.Decision(served)
		}
		runtime.Gosched()
		if time.Now().After(deadline) {
			t.Fatal("not ready although the folder is back")
		}
	}
	if err := l.Refusal(full()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), `"action":"refuse"`) {
		t.Errorf("%q %v", text, err)
	}
}

// Close does not wait for ever for an output that hangs, and says how much is missing.
func TestCloseOfStalledOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{room: -1, held: make(chan struct{})}
		l, err := Open(Config{File: "-", Stdout: disk})
		if err != nil {
			t.Fatal(err)
		}
		for range 7 {
			l.Decision(full())
		}
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "7 are missing") {
			t.Errorf("%v", err)
		}
		close(disk.held)
	})
}

func TestCloseOfFullDiskSaysWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var troubles []bool
		l, err := Open(
			Config{
				File:      "-",
				Stdout:    &faulty{},
				OnTrouble: func(err error) { troubles = append(troubles, err != nil) },
			},
		)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l.Decision(full())
		}
		time.Sleep(time.Second)
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "3 are missing") {
			t.Errorf("%v", err)
		}
		if !slices.Equal(troubles, []bool{true}) {
			t.Errorf("told %v", troubles)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "no", "such.log")} {
		if l, err := Open(Config{File: path}); err == nil ||
			!strings.Contains(err.Error(), `decision log "`+path+`": `) {
			t.Errorf("%s: %v %v", path, l, err)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("Mozilla/5.0", "/a?b", "crawl.googlebot.com")
	f.Add("\xff\x00\"\\\n", "/\u2028", strings.Repeat("ü", 300))
	f.Fuzz(func(t *testing.T, agent, path, ptr string) {
		e := newEncoder("00000000")
		line, head := e.decision(time.Unix(0, 0), &Record{Agent: agent, Path: path, PTR: ptr, Host: path, SNI: agent},
			Privacy{}, fullBounds())
		line = slices.Insert(slices.Clone(line), head, byte(0x37))
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, c := range bytes.TrimSuffix(line, []byte("\n")) {
			if c < 0x20 || c == 0x7f {
				t.Fatalf("raw control character in %q", line)
			}
		}
	})
}

// Every byte at every place of texts of every length that differs in how it is looked at.
func TestPrintableLooksAtEveryByte(t *testing.T) {
	for length := 1; length <= 26; length++ {
		text := bytes.Repeat([]byte{'a'}, length)
		for at := range text {
			for c := range 256 {
				text[at] = byte(c)
				want := c >= 0x20 && c < 0x7f && c != '"' && c != '\\'
				if got := printable(text); got != want {
					t.Fatalf("%q: %v", text, got)
				}
			}
			text[at] = 'a'
		}
	}
}
