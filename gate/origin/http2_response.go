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

// modifyResponse sees the final response before the client does.
func modifyResponse(response *http.Response) error {
	f := response.Request.Context().Value(http2RequestKey{}).(*http2Request)
	if status, _, _ := strings.Cut(response.Status, " "); response.StatusCode < 200 || response.StatusCode > 999 ||
		len(status) != 3 {
		return &Failure{Garbage, fmt.Errorf("status %q", status)} // a server would panic
	}
	if response.StatusCode == http.StatusMisdirectedRequest {
		f.call.status = response.StatusCode
		return &Failure{Misdirected, nil}
	}
	f.call.responded(response.StatusCode)
	f.call.responseBegun = true
	switch response.StatusCode {
	case http.StatusNoContent, http.StatusNotModified:
		// They have no body, whatever their length says (RFC 9110 section 8.6): the engine would miss it.
		response.Body.Close()
		response.Body = http.NoBody
		if response.Request.Method != http.MethodHead {
			response.Header.Del("Content-Length") // as in readHead
		}
	}
	if response.Header["Content-Type"] == nil {
		f.client.Header()["Content-Type"] = nil // keeps a server from guessing one
	}
	client.StripTrailer(response.Trailer)
	if len(response.Trailer) > 0 && f.request.ProtoMajor == 1 {
		delete(response.Header, "Content-Length") // HTTP/1.1 has trailers on chunked bodies only
	}
	if f.request.ProtoMajor == 1 && f.source != nil && !f.source.whole() {
		response.Header["Connection"] = []string{"close"} // as in copyResponse
	}
	response.Body = f.response(response)
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
