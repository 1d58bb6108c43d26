//go:build peers

package peers

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
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
	either bool   // it may or may not: all is understood, and the server may spare itself a body that nobody wants
	view   string // the requests at the origin, each but the last; "": it hears nothing
}

// family is a kind of attack.
type family struct {
	name    string
	attacks []attack
}

// reaction is what came of it.
type reaction struct {
	answer string
	open   bool
	view   string
}

// What is wrong with a body shows when its request may be on its way to the origin, or may not. The origin may see the
// beginning of a request for /cut, and all of one for /maybe, and may see that late; nothing else that is not whole.
// One for hasty is answered before its body has come.
const (
	cutOff  = "/cut"
	perhaps = "/maybe"
	hasty   = perhaps + "/hasty"

	lateShows = "perhaps "
)

// endsWithin is when a connection has an end, whatever the client leaves out.
const endsWithin = 20 * time.Second

// behind is where the request behind every attack goes, another one each time. Where the connection is closed, the
// origin must not see it, then or later.
func behind(turn int) string { return fmt.Sprintf("/behind/%d", turn) }

// smugglers is a gateway before a recorder.
type smugglers struct {
	*gateway
	origin *recorder
	config *tls.Config
	table  bytes.Buffer
	rows   map[string]int // by answer
	turns  int            // of attacks and requests behind them
	served []string       // of the latter
	wrong  int
	late   []string // requests that may come late, seen at an attack that is not theirs
	split  int      // forwards that are read in two ways
	lying  int      // forwards of bodies that a server may take for requests that has none behind GET
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

// Request smuggling in all its forms, over both protocols: what is ambiguous is refused and the connection closed, or
// the stream reset; what is forwarded is read in the same way by everybody. Over HTTP/1 everything comes in one piece
// first, and then byte by byte.
func TestSmuggling(t *testing.T) {
	origin := startRecorder(t)
	s := &smugglers{origin: origin, rows: map[string]int{}}
	s.gateway = serve(t, setup{more: "limits: {stall_time: 3s}", sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse}
`, shop, origin.address)})
	s.config = &tls.Config{RootCAs: s.trusted(t), ServerName: shop}
	summary, late := "", []string{}
	play := func(protocol string, families []family, how ...func(attack) reaction) {
		for _, f := range families {
			wrong := s.wrong
			fmt.Fprintf(&s.table, "%s: %s\n", protocol, f.name)
			for _, a := range f.attacks {
				late = append(late, a.view)
				for i, attack := range how {
					if i == 0 || len(a.send) <= 1<<10 {
						s.judge(t, protocol, a, i, attack(a))
					}
				}
			}
			summary += fmt.Sprintf("%s %-40s %3d attacks, %d times not as wanted\n", protocol, f.name, len(f.attacks), s.wrong-wrong)
		}
	}
	play("h1", families1(), func(a attack) reaction { return s.attack1(t, a, 0) }, func(a attack) reaction { return s.attack1(t, a, 1) })
	play("h2", families2(), func(a attack) reaction { return s.attack2(t, a) })
	for _, v := range s.late {
		if !slices.Contains(late, lateShows+v) {
			t.Errorf("at the origin: %s", v)
		}
	}
	for _, r := range s.finish(t) {
		if r.Status == 421 && r.Proto != "HTTP/2.0" {
			t.Errorf("421 over HTTP/1: %+v", r)
		}
		if strings.HasPrefix(r.Path, "/smuggled") || strings.HasPrefix(r.Path, behind(0)[:8]) && !slices.Contains(s.served, r.Path) {
			t.Errorf("the gateway took this for a request: %+v", r)
		}
	}
	if rest := s.origin.take(t); len(rest) > 0 {
		t.Errorf("after the last answer the origin got %q", rest)
	}
	summary += fmt.Sprintf("answers %v; %d forwards that two readers of %d read differently; %d bodies behind GET and its like; %d rows not as wanted\n",
		s.rows, s.split, len(readers), s.lying, s.wrong)
	write(t, filepath.Join(t.ArtifactDir(), "smuggling.txt"), append([]byte(summary), s.table.Bytes()...))
	t.Logf("%s%s", summary, s.table.String())
}

// judge compares what came of an attack with what was wanted, and writes the row, the first time.
func (s *smugglers) judge(t *testing.T, protocol string, a attack, time int, got reaction) {
	t.Helper()
	what := protocol + " " + a.name
	if time > 0 {
		what += ", byte by byte"
	}
	pieces := s.origin.take(t)
	requests, broken, differences := compare(pieces)
	for _, d := range differences {
		s.split++
		t.Errorf("%s: two ways to read it:\n%s", what, d)
	}
	for _, piece := range pieces {
		if read, rest, _ := bodiless.all(piece); len(read) > len(requests) || len(rest) > 0 && len(broken) == 0 {
			s.lying++
		}
	}
	for _, b := range broken {
		if _, rest, _ := strings.Cut(b, " "); !strings.HasPrefix(rest, cutOff) && !strings.HasPrefix(rest, perhaps) {
			t.Errorf("%s: the origin got the beginning of a request alone: %.200q", what, b)
		}
	}
	var views []string
	for _, r := range requests {
		v := r.view(t, what)
		switch {
		case r.target == behind(s.turns):
			if !got.open {
				t.Errorf("%s: the connection is closed, and the request behind was forwarded", what)
			}
		case strings.HasPrefix(r.target, perhaps):
			if a.view != lateShows+v {
				s.late = append(s.late, v)
			}
		default:
			views = append(views, v)
		}
	}
	got.view = inChunks(strings.Join(views, " | "), a.view)
	if strings.HasPrefix(a.view, lateShows) && got.view == "" {
		got.view = a.view
	}
	want := reaction{a.answer, a.open, a.view}
	if slices.Contains(strings.Split(a.answer, " or "), got.answer) {
		want.answer = got.answer
	}
	if a.either {
		want.open = got.open
	}
	if got.open {
		s.served = append(s.served, behind(s.turns))
	}
	if got != want {
		s.wrong++
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
	if time > 0 {
		return
	}
	s.rows[fmt.Sprintf("%s %.30s", protocol, got.answer)]++
	connection := "closed"
	if got.open {
		connection = "open"
	}
	fmt.Fprintf(&s.table, "%s  %-58s %-12.30s %-7s %.300s\n", protocol, a.name, got.answer, connection, cmp.Or(got.view, "-"))
}

// inChunks writes a view as if bodies of unknown length had been sent in chunks, where the wanted one has them so:
// where all of a body has come at once, it is sent with its length, and all readers have read it so.
func inChunks(got, want string) string {
	const chunked = "; Transfer-Encoding: chunked"
	views, wanted := strings.Split(got, " | "), strings.Split(want, " | ")
	for i, w := range wanted[:min(len(wanted), len(views))] {
		if strings.Contains(w, chunked) {
			views[i] = contentLength.ReplaceAllString(views[i], chunked)
		}
	}
	return strings.Join(views, " | ")
}

var contentLength = regexp.MustCompile(`; Content-Length: [0-9]+`)

// answersIn are the bodies that go with a view: each is the target of the request that it answers.
func answersIn(view string) (bodies []string) {
	for request := range strings.SplitSeq(strings.TrimPrefix(view, lateShows), " | ") {
		if part := strings.Fields(request); len(part) > 1 && part[0] != http.MethodHead && part[1] != hasty {
			bodies = append(bodies, part[1])
		}
	}
	return bodies
}

// attack1 sends an attack and a request behind it, in pieces of so many bytes or in one, and reads to the end of the
// connection.
func (s *smugglers) attack1(t *testing.T, a attack, piece int) (got reaction) {
	t.Helper()
	conn := s.dial(t, "http/1.1")
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(endsWithin))
	s.turns++
	message := a.send + "GET " + behind(s.turns) + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
	if piece == 0 {
		piece = len(message)
	}
	sent := make(chan struct{})
	go func() { // what is answered early need not be read to its end
		defer close(sent)
		for part := range slices.Chunk([]byte(message), piece) {
			if _, err := conn.Write(part); err != nil {
				break
			}
		}
		if a.ends {
			conn.CloseWrite()
		}
	}()
	said := bufio.NewReader(conn)
	var statuses, bodies []string
	said1, closes := false, true // whether the last answer is HTTP/1.1's, and says that the connection ends
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
		if said1, closes = answer.ProtoAtLeast(1, 1), answer.Close; string(body) == behind(s.turns) && err == nil {
			got.open = true
			continue
		}
		if got.open {
			t.Errorf("%s: %d behind the last answer", a.name, answer.StatusCode)
		}
		statuses = append(statuses, fmt.Sprint(answer.StatusCode))
		if answer.StatusCode == http.StatusOK && method != http.MethodHead && string(body) != hasty {
			bodies = append(bodies, legible(string(body)))
		}
		if answer.StatusCode >= 500 && answer.StatusCode != 501 && answer.StatusCode != 505 {
			t.Errorf("%s: %d", a.name, answer.StatusCode)
		}
	}
	if got.answer = strings.Join(statuses, " "); got.answer == "" {
		got.answer = "closed"
	}
	if said1 && !closes && !a.ends {
		t.Errorf("%s: the connection ends, and the last answer of %s does not say so", a.name, got.answer)
	}
	if want := answersIn(a.view); !slices.Equal(bodies, want) && slices.Contains(strings.Split(a.answer, " or "), got.answer) {
		t.Errorf("%s: the answers are %q, want those to %q", a.name, bodies, want)
	}
	conn.Close()
	<-sent
	return got
}
