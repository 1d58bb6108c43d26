//go:build peers

package peers

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// attack is a row of the table: what a client sends, and what has to come of it.
type attack struct {
	name string
	send string   // HTTP/1: bytes
	h2   []string // HTTP/2: fields in pairs
	data []string // HTTP/2: frames of DATA; the last one ends the stream, as the header does where there are none
	more []string // HTTP/2: trailers, in pairs

	ends bool // HTTP/1: the client says no more: the server waits for more otherwise

	answer string // HTTP/1: statuses in their order, "closed" where there is none; HTTP/2: a status, "reset" or "gone"; "or" parts two
	open   bool   // the connection serves another request
	view   string // the requests at the origin, each but the last; "": it hears nothing
}

// reaction is what came of it.
type reaction struct {
	answer string
	open   bool
	view   string
}

// What is wrong with a body shows when its request may be on its way to the origin, or may not. The origin may see the
// beginning of a request for /cut, and all of one for /maybe, and may see that late; nothing else that is not whole.
const (
	cutOff  = "/cut"
	perhaps = "/maybe"

	lateShows = "perhaps "
)

// after is the request behind every attack. Where the connection is closed, the origin must not see it.
const after = "GET /after HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"

// smugglers is a gateway before a recorder.
type smugglers struct {
	*gateway
	origin *recorder
	config *tls.Config
	table  bytes.Buffer
	rows   map[string]int // by answer
	wrong  int
	late   []string // requests that may come late, seen at an attack that is not theirs
	split  int      // forwards that are read in two ways
}

func (s *smugglers) dial(t *testing.T, protocol string) *tls.Conn {
	t.Helper()
	config := s.config.Clone()
	config.NextProtos = []string{protocol}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", "127.0.0.1:"+s.port, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// Request smuggling in all its forms, over both protocols: what is ambiguous is refused and the connection closed, or the stream
// reset; what is forwarded is read in the same way by everybody.
func TestSmuggling(t *testing.T) {
	origin := startRecorder(t)
	s := &smugglers{origin: origin, rows: map[string]int{}}
	s.gateway = serve(t, setup{more: "limits: {stall_time: 3s}", sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse}
`, shop, origin.address)})
	s.config = &tls.Config{RootCAs: s.trusted(t), ServerName: shop}
	for _, a := range attacks1() {
		s.judge(t, "h1", a, s.attack1(t, a))
	}
	for _, a := range attacks2() {
		s.judge(t, "h2", a, s.attack2(t, a))
	}
	for _, v := range s.late {
		if !slices.ContainsFunc(attacks2(), func(a attack) bool { return a.view == lateShows+v }) {
			t.Errorf("at the origin: %s", v)
		}
	}
	for _, r := range s.finish(t) {
		if r.Status == 421 && r.Proto != "HTTP/2.0" {
			t.Errorf("421 over HTTP/1: %+v", r)
		}
	}
	summary := fmt.Sprintf("%d attacks over HTTP/1, %d over HTTP/2; answers %v; %d forwards that two readers of %d read differently; %d rows not as wanted\n",
		len(attacks1()), len(attacks2()), s.rows, s.split, len(readers), s.wrong)
	write(t, filepath.Join(t.ArtifactDir(), "smuggling.txt"), append([]byte(summary), s.table.Bytes()...))
	t.Logf("%s%s", summary, s.table.String())
}

// judge compares what came of an attack with what was wanted, and writes the row.
func (s *smugglers) judge(t *testing.T, protocol string, a attack, got reaction) {
	t.Helper()
	pieces := s.origin.take(t)
	requests, broken, differences := compare(pieces)
	for _, d := range differences {
		s.split++
		t.Errorf("%s %s: two ways to read it:\n%s", protocol, a.name, d)
	}
	for _, b := range broken {
		if _, rest, _ := strings.Cut(b, " "); !strings.HasPrefix(rest, cutOff) && !strings.HasPrefix(rest, perhaps) {
			t.Errorf("%s %s: the origin got the beginning of a request alone: %.200q", protocol, a.name, b)
		}
	}
	var views []string
	for _, r := range requests {
		v := r.view(t, a.name)
		switch {
		case r.target == "/after" && !got.open:
			t.Errorf("%s %s: the connection is closed, and the request behind was forwarded", protocol, a.name)
		case r.target == "/after":
		case r.target == perhaps:
			if a.view != lateShows+v {
				s.late = append(s.late, v)
			}
		default:
			views = append(views, v)
		}
	}
	got.view = strings.Join(views, " | ")
	if strings.HasPrefix(a.view, lateShows) && got.view == "" {
		got.view = a.view
	}
	want := reaction{a.answer, a.open, a.view}
	if slices.Contains(strings.Split(a.answer, " or "), got.answer) {
		want.answer = got.answer
	}
	if got != want {
		s.wrong++
		t.Errorf("%s %s:\n got %+v\nwant %+v", protocol, a.name, got, want)
	}
	s.rows[protocol+" "+got.answer]++
	connection := "closed"
	if got.open {
		connection = "open"
	}
	fmt.Fprintf(&s.table, "%s  %-58s %-12s %-7s %s\n", protocol, a.name, got.answer, connection, or(got.view, "-"))
}

// attack1 sends an attack and a request behind it in one piece, and reads to the end of the connection.
func (s *smugglers) attack1(t *testing.T, a attack) (got reaction) {
	t.Helper()
	conn := s.dial(t, "http/1.1")
	defer conn.Close()
	sent := make(chan struct{})
	go func() { // what is answered early need not be read to its end
		defer close(sent)
		io.WriteString(conn, a.send+after)
		if a.ends {
			conn.CloseWrite()
		}
	}()
	said := bufio.NewReader(conn)
	var statuses []string
	for {
		method := http.MethodGet
		if strings.HasPrefix(a.send, "HEAD") && len(statuses) == 0 {
			method = http.MethodHead
		}
		answer, err := http.ReadResponse(said, &http.Request{Method: method})
		if err != nil {
			if os.IsTimeout(err) {
				t.Errorf("%s: no end: %v", a.name, err)
			}
			break
		}
		body, err := io.ReadAll(answer.Body)
		if string(body) == "/after" && err == nil {
			got.open = true
			continue
		}
		if answer.StatusCode != http.StatusContinue {
			statuses = append(statuses, fmt.Sprint(answer.StatusCode))
		}
	}
	if got.answer = strings.Join(statuses, " "); got.answer == "" {
		got.answer = "closed"
	}
	conn.Close()
	<-sent
	return got
}
