package origin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"gate421/gate/http1/client"
)

// modifyResponse sees the final answer before the client does.
func modifyResponse(answer *http.Response) error {
	f := answer.Request.Context().Value(http2RequestKey{}).(*http2Request)
	if status, _, _ := strings.Cut(answer.Status, " "); answer.StatusCode < 200 || answer.StatusCode > 999 || len(status) != 3 {
		return &Failure{Garbage, fmt.Errorf("status %q", status)} // a server would panic
	}
	if answer.StatusCode == http.StatusMisdirectedRequest {
		f.call.status = answer.StatusCode
		return &Failure{Misdirected, nil}
	}
	f.call.responded(answer.StatusCode)
	f.call.responseBegun = true
	switch answer.StatusCode {
	case http.StatusNoContent, http.StatusNotModified:
		// They have no body, whatever their length says (RFC 9110 section 8.6): the engine would miss it.
		answer.Body.Close()
		answer.Body = http.NoBody
		if answer.Request.Method != http.MethodHead {
			answer.Header.Del("Content-Length") // as in readHead
		}
	}
	if answer.Header["Content-Type"] == nil {
		f.client.Header()["Content-Type"] = nil // keeps a server from guessing one
	}
	client.StripTrailer(answer.Trailer)
	if len(answer.Trailer) > 0 && f.request.ProtoMajor == 1 {
		delete(answer.Header, "Content-Length") // HTTP/1.1 has trailers on chunked bodies only
	}
	if f.request.ProtoMajor == 1 && f.source != nil && !f.source.whole() {
		answer.Header["Connection"] = []string{"close"} // as in pass
	}
	answer.Body = f.answer(answer)
	return nil
}

// handleError notes why a server did not answer.
func handleError(_ http.ResponseWriter, r *http.Request, err error) {
	f := r.Context().Value(http2RequestKey{}).(*http2Request)
	c := &f.call
	c.failure = failureOf(err, f.gone())
	c.timeToFirstByte = time.Since(c.start)
	if f.source != nil {
		c.unread, c.waitedForClient = !f.source.whole(), f.source.pending()
	}
	var op *net.OpError
	var never *unconnected
	dialed := errors.As(err, &op) && op.Op == "dial" || errors.As(err, &never)
	broke := c.failure.word == Reset && f.source == nil && replayable(r.Method)
	c.retryable = c.status == 0 && f.again() && (dialed || broke || unprocessed(err))
}
