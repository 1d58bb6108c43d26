package origin

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// pacedBody is a client's body; it notes that the server in front cut it off because the client was too slow.
type pacedBody struct {
	io.ReadCloser
	slow atomic.Bool
}

// Read serves io.Reader.
func (p *pacedBody) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if clientStalled(err) {
		p.slow.Store(true)
	}
	return n, err
}

// pacedWriter is an HTTP/2 server's way to the client; it notes the same of the response, whose errors ReverseProxy
// keeps to itself.
type pacedWriter struct {
	http.ResponseWriter
	slow error
}

// Unwrap serves http.ResponseController.
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// WriteHeader serves http.ResponseWriter. A server's 100 Continue is no news: the client's body is read from the
// beginning, and reading it has given the client the one that it may expect.
func (p *pacedWriter) WriteHeader(status int) {
	if status != http.StatusContinue {
		p.ResponseWriter.WriteHeader(status)
	}
}

// Write serves io.Writer.
func (p *pacedWriter) Write(b []byte) (int, error) {
	n, err := p.ResponseWriter.Write(b)
	p.note(err)
	return n, err
}

// FlushError serves http.ResponseController.
func (p *pacedWriter) FlushError() error {
	err := http.NewResponseController(p.ResponseWriter).Flush()
	p.note(err)
	return err
}

func (p *pacedWriter) note(err error) {
	if p.slow == nil && clientStalled(err) {
		p.slow = err
	}
}

// clientStalled says whether an error of reading a body or of writing a response comes from a limit on the client's
// pace.
func clientStalled(err error) bool {
	var named interface{ ClientStalled() bool }
	return err != nil && errors.As(err, &named) && named.ClientStalled()
}
