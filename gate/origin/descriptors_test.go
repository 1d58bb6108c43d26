package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewDescriptors(2)
		asked := 0
		f.add("pool", func() {
			if asked++; asked == 1 {
				f.release()
			}
		})
		for range 3 { // the third one has an idle connection closed
			if err := f.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if err := f.acquire(t.Context()); !errors.Is(err, errNoFiles) || time.Since(start) != connectTime {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, leave)
		if err := f.acquire(gone); !errors.Is(err, context.Canceled) || time.Since(start) != connectTime+time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		time.AfterFunc(time.Second, f.release)
		if err := f.acquire(t.Context()); err != nil {
			t.Errorf("when one is free: %v", err)
		}
		f.remove("pool")
		if asked < 4 || len(f.pools) != 0 {
			t.Errorf("asked %d times, %d pools", asked, len(f.pools))
		}
	})
	var none *Descriptors
	if err := none.acquire(t.Context()); err != nil {
		t.Error(err)
	}
	none.release()
}

// However many requests come, to servers of every kind and a folder, no more descriptors are open than there may be;
// who cannot have one at once waits, and an idle connection to another server makes way.
func TestOriginsShareFiles(t *testing.T) {
	t.Parallel()
	const most = 4
	files := NewDescriptors(most)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.txt"), []byte("page"), 0o600); err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page") })
	over := func(network, address string, protocols func(*http.Protocols)) string {
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
		protocols(server.Protocols)
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
		return l.Addr().String()
	}
	http1 := func(p *http.Protocols) { p.SetHTTP1(true) }
	var origins []*Origin
	for _, server := range []string{
		"http://" + over("tcp", "127.0.0.1:0", http1), "http://" + over("tcp", "127.0.0.1:0", http1),
		"h2c://" + over("tcp", "127.0.0.1:0", func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }),
		"unix:" + over("unix", filepath.Join(dir, "socket"), http1), "file:" + dir,
	} {
		o, err := New(Config{Servers: []string{server}, Descriptors: files})
		if err != nil {
			t.Fatal(err)
		}
		origins = append(origins, o)
	}
	failed := make(chan error, 10*len(origins))
	for i := range cap(failed) {
		o := origins[i%len(origins)]
		go func() {
			for range 10 {
				w := httptest.NewRecorder()
				if _, status, _, err := o.Serve(w, httptest.NewRequest("GET", "http://one.example/page.txt", nil)); err != nil ||
					w.Body.String() != "page" {
					failed <- fmt.Errorf("%s: status %d, %q, %v", o.name, status, w.Body, err)
					return
				}
				if n := len(files.slots); n > most {
					failed <- fmt.Errorf("%d descriptors", n)
					return
				}
			}
			failed <- nil
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	for _, o := range origins {
		o.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); len(files.slots) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors are not given back", len(files.slots))
		}
	}
	if len(files.pools) > 0 {
		t.Errorf("%d pools are remembered", len(files.pools))
	}
}

// Who has waited for a descriptor has all of the time to connect that others have.
func TestTimeToConnectBeginsWithADescriptor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, scheme := range []string{"http", "h2c"} {
			files := NewDescriptors(1)
			if err := files.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(connectTime-time.Second, files.release)
			var left time.Duration
			o, err := New(Config{Servers: []string{scheme + "://192.0.2.1"}, Descriptors: files,
				Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
					until, _ := ctx.Deadline()
					left = time.Until(until)
					return nil, errors.New("no")
				}})
			if err != nil {
				t.Fatal(err)
			}
			o.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "http://one.example/", nil))
			if left != connectTime || len(files.slots) != 0 {
				t.Errorf("%s: %v left, %d descriptors", scheme, left, len(files.slots))
			}
			o.Close()
		}
	})
}
