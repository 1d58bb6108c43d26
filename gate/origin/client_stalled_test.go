package origin

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// tooSlow is the error of a limit on the client's pace.
type tooSlow struct{ error }

func (tooSlow) ClientStalled() bool { return true }

// slowBody is a body that is cut off for its pace.
type slowBody struct{ left int }

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, tooSlow{errors.New("deadline")}
	}
	b.left--
	p[0] = 'x'
	return 1, nil
}

func (b *slowBody) Close() error { return nil }

// slowTaker is a response that is cut off for the same reason when some of it has been taken.
type slowTaker struct {
	*httptest.ResponseRecorder
	left int
}

func (w *slowTaker) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, tooSlow{errors.New("deadline")}
	}
	return w.ResponseRecorder.Write(p)
}

// A client whose body or whose reading a limit has cut off has not left, and the record says so. If it has no response
// yet it is told.
func TestClientIsTooSlow(t *testing.T) {
	t.Parallel()
	h := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
	}
	for name, url := range map[string]string{"http": handling(t, h), "h2c": serveH2C(t, h)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := New(Config{Servers: []string{url}})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			for _, length := range []int64{100, -1} {
				r := httptest.NewRequest("POST", "/", nil)
				r.Host, r.ContentLength, r.Body = "shop.example", length, &slowBody{10}
				w := httptest.NewRecorder()
				if _, _, _, err := o.Serve(w, r); (outcome{err: err}).word() != ClientSlow ||
					w.Code != http.StatusRequestTimeout {
					t.Errorf("a body of %d: %d, %v", length, w.Code, err)
				}
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = "shop.example"
			w := &slowTaker{httptest.NewRecorder(), 100 << 10}
			if _, _, _, err := o.Serve(w, r); (outcome{err: err}).word() != ClientSlow || !(outcome{err: err}).cut() {
				t.Errorf("a response: %v", err)
			}
		})
	}
}
