package server

import (
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// A connection is closed while it waits for a request or gets the head of one too slowly, and stays while it is busy.
func TestCloseWaiting(t *testing.T) {
	t.Parallel()
	release, begun := make(chan struct{}), make(chan struct{})
	s := &Server{
		HeaderBytes: 8 << 10,
		HeaderTime:  time.Hour,
		IdleTime:    time.Hour,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			<-release
		}),
	}
	const answer = "HTTP/1.1 200 OK"
	for name, test := range map[string]struct {
		says string
		busy bool // when it is to be closed
		slow time.Duration
		want bool
		more string // that it says then
		gets string // the beginning of what it is told
	}{
		"idle":                     {want: true},
		"idle, and just asks":      {want: true, more: "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", gets: answer},
		"half a head":              {says: "GET / HT", slow: time.Hour, more: "TP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", gets: answer},
		"half a head for too long": {says: "GET / HT", want: true},
		"busy":                     {says: "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", busy: true, gets: answer},
	} {
		client, server := tcpPair(t)
		served := make(chan struct{})
		go func() {
			defer close(served)
			s.Serve(t.Context(), server, nil)
		}()
		io.WriteString(client, test.says)
		state := int32(waiting)
		switch {
		case test.busy:
			<-begun
			state = busy
		case test.says != "":
			state = reading
		}
		for !serves(s, server, state, test.says != "" && !test.busy) {
			time.Sleep(time.Millisecond)
		}
		asks := test.want && test.more != "" // it lies with the kernel, or has been read already
		if asks {
			io.WriteString(client, test.more)
		}
		if got := s.CloseWaiting(server, test.slow); got != test.want && !asks {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if !asks {
			io.WriteString(client, test.more)
		}
		if test.gets != "" {
			if !test.busy {
				<-begun
			}
			release <- struct{}{}
		}
		got, _ := io.ReadAll(client)
		if string(got[:min(len(got), len(test.gets))]) != test.gets || test.gets == "" && len(got) > 0 {
			t.Errorf("%s: told %q, want %q", name, got, test.gets)
		}
		<-served
	}
	if !s.CloseWaiting(nil, 0) {
		t.Error("a connection that is not served any more stays")
	}
}

// late is a connection whose reader gets its turn when the deadline is over already.
type late struct {
	net.Conn
	told <-chan struct{}
	once sync.Once
}

// Read serves net.Conn.
func (l *late) Read(p []byte) (n int, err error) {
	l.once.Do(func() {
		<-l.told
		err = os.ErrDeadlineExceeded
	})
	if err != nil {
		return 0, err
	}
	return l.Conn.Read(p)
}

// A request that lies with the kernel when its connection is to be closed is answered, however busy the machine is.
func TestCloseWaitingLooksAgain(t *testing.T) {
	t.Parallel()
	s := &Server{
		HeaderBytes: 8 << 10,
		HeaderTime:  time.Hour,
		IdleTime:    time.Hour,
		Handler:     http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	}
	for _, test := range []struct{ says, gets string }{
		{"", ""},
		{"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK"},
	} {
		client, server := tcpPair(t)
		told, served := make(chan struct{}), make(chan struct{})
		slow := &late{Conn: server, told: told}
		go func() {
			defer close(served)
			s.Serve(t.Context(), slow, nil)
		}()
		io.WriteString(client, test.says)
		for !serves(s, slow, waiting, false) {
			time.Sleep(time.Millisecond)
		}
		if !s.CloseWaiting(slow, 0) {
			t.Error("it stays")
		}
		close(told)
		got, _ := io.ReadAll(client)
		if string(got[:min(len(got), len(test.gets))]) != test.gets || test.gets == "" && len(got) > 0 {
			t.Errorf("told %q, want %q", got, test.gets)
		}
		<-served
	}
}

// serves says whether a connection has come to a state, and where that is a head, to waiting for more of it.
func serves(s *Server, c net.Conn, state int32, head bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.open[c]
	if k == nil || k.state.Load() != state {
		return false
	}
	k.reader.mu.Lock()
	defer k.reader.mu.Unlock()
	return !head || k.reader.phase == inRest
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	client.SetDeadline(time.Now().Add(patience))
	return client, server
}
