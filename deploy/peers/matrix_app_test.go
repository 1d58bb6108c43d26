//go:build peers

package peers

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// echoType is the type of an answer that says what the origin saw.
const echoType = "application/x-echo"

// saw is what the origin saw of a request.
type saw struct {
	Method, Target, Host string
	Header, Trailer      http.Header
	Length               int64 // -1: it was not told
	Sum                  string
}

// app is the Go program at the end of every arrangement.
type app struct {
	files string // a folder

	mu    sync.Mutex
	doors map[string]chan struct{}
	met   map[string]int
	last  int
}

func newApp(files string) *app {
	return &app{files: files, doors: map[string]chan struct{}{}, met: map[string]int{}}
}

// fresh is a name that no other request has.
func (a *app) fresh() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	return strconv.Itoa(a.last)
}

// door is closed until open is called with its name.
func (a *app) door(name string) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.doors[name] == nil {
		a.doors[name] = make(chan struct{})
	}
	return a.doors[name]
}

func (a *app) open(name string) { close(a.door(name)) }

// behind waits at a door; the test's end or the client's opens it, too.
func (a *app) behind(r *http.Request) {
	select {
	case <-a.door(r.URL.Query().Get("door")):
	case <-r.Context().Done():
	}
}

// ServeHTTP leads by the path's first part. It is no ServeMux, which would tidy the path.
func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w).Flush
	switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); first {
	case "files":
		a.file(w, r)
	case "native":
		a.native(w, r)
	case "say":
		say(w, r.URL.Query())
	case "down":
		size, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(filling(size))
	case "events":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: one\n\n")
		flush()
		a.behind(r)
		io.WriteString(w, "data: two\n\n")
	case "late":
		a.behind(r)
		io.WriteString(w, "late")
	case "meet":
		a.meet(r)
		io.WriteString(w, "met")
	case "hints":
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "hinted")
	case "refuse": // without a look at the body
		status, _ := strconv.Atoi(r.URL.Query().Get("s"))
		w.WriteHeader(status)
		io.WriteString(w, "refused")
	case "trailers":
		w.Header()["Trailer"] = []string{"X-Sum"}
		io.WriteString(w, "body")
		flush()
		w.Header().Set("X-Sum", "abc")
	case "wire":
		wire(w, r.URL.Query().Get("w"))
	case "socket":
		socket(w, r)
	case "pkg.Service":
		unary(w, r)
	default:
		echo(w, r)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	_, err := io.Copy(h, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out, _ := json.Marshal(saw{r.Method, r.RequestURI, r.Host, r.Header, r.Trailer, r.ContentLength, hex.EncodeToString(h.Sum(nil))})
	w.Header().Set("Content-Type", echoType)
	w.Write(out)
}

// say answers as it is told: s is the status, h are fields, b is the body, c cuts it in chunks.
func say(w http.ResponseWriter, q url.Values) {
	w.Header()["Content-Type"] = nil
	for _, field := range q["h"] {
		name, value, _ := strings.Cut(field, ": ")
		w.Header()[name] = append(w.Header()[name], value)
	}
	if status, err := strconv.Atoi(q.Get("s")); err == nil {
		w.WriteHeader(status)
	}
	for i, piece := range strings.Split(q.Get("b"), "|") {
		if i > 0 {
			http.NewResponseController(w).Flush()
		}
		io.WriteString(w, piece)
	}
}

// native is what nginx and Apache answer themselves.
func (a *app) native(w http.ResponseWriter, r *http.Request) {
	status, _ := strconv.Atoi(filepath.Base(r.URL.Path))
	switch {
	case status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="the back room"`)
	case status/100 == 3:
		w.Header().Set("Location", "/elsewhere?x=%2F")
	}
	w.WriteHeader(status)
}

func (a *app) file(w http.ResponseWriter, r *http.Request) {
	path := filepath.Join(a.files, r.URL.Path)
	content, err := os.ReadFile(path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Vary", "Accept-Encoding")
		zip := gzip.NewWriter(w)
		defer zip.Close()
		zip.Write(content)
		return
	}
	w.Header().Set("ETag", `"the-tag"`)
	http.ServeContent(w, r, path, fileTime, bytes.NewReader(content))
}

var fileTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// meet waits until n requests of the same name are there.
func (a *app) meet(r *http.Request) {
	name := r.URL.Query().Get("door")
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	a.mu.Lock()
	a.met[name]++
	there := a.met[name]
	a.mu.Unlock()
	if there == n {
		a.open(name)
	}
	a.behind(r)
}

// wire answers with bytes and closes the connection.
func wire(w http.ResponseWriter, answer string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	io.WriteString(c, answer)
}

// filling is a body of which each part differs from the others.
func filling(size int) []byte {
	out := make([]byte, 0, size+16)
	for i := 0; len(out) < size; i++ {
		out = fmt.Appendf(out, "%d,", i)
	}
	return out[:size]
}

// unary is a gRPC method that says what it was told.
func unary(w http.ResponseWriter, r *http.Request) {
	message, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.Header().Set("X-Te", r.Header.Get("Te"))
	w.Write(message)
	w.Header().Set("Grpc-Status", "0")
}
