package gate

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gate421/gate/audit"
	"gate421/gate/http1"
	"gate421/gate/policy"
)

// PlainHTTP is the reason of the log for a request on the plain listener that was sent on to https.
const PlainHTTP = "plain_http"

// Redirect is the handler of the plain HTTP listener: it sends a configured host's clients to https and answers 404 for
// any other, with one record a request (action redirect, reason plain_http, or reject, unknown_host). Nobody is ever
// refused here. ACME's HTTP-01 requests are answered before it.
type Redirect struct {
	Live *atomic.Pointer[Live]
	Log  Log    // nil: nothing is recorded
	Port string // of the https listener, where it is not 443; "" for 443
	// Proxies may say who the client is. nil: nobody's headers are believed.
	Proxies *Proxies

	ids ids
}

// ServeHTTP answers with 301 for GET and HEAD and 308 for the rest, which keeps the method.
func (h *Redirect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	live := h.Live.Load()
	host := hostname(r.Host)
	client := h.Proxies.client(r)
	record := audit.Record{
		Host: host, Method: r.Method, Path: http1.OriginForm(r.RequestURI), Proto: client.proto, ClientIP: client.ip,
		Agent: r.UserAgent(), RequestID: h.ids.next(), Config: live.Version,
	}
	record.Claim = live.Claims.Of(record.Agent)
	if r.Method == http.MethodConnect {
		record.Action, record.Reason = policy.Serve.String(), string(policy.HTTP1)
		record.Status = http.StatusMethodNotAllowed
		respond(w, r, record.Status, "405: CONNECT is not served here.\n")
	} else if !http1.Escaped(r.RequestURI) {
		record.Action, record.Reason, record.Status = policy.Serve.String(), string(policy.HTTP1), http.StatusBadRequest
		respond(w, r, record.Status, "400: the request is malformed.\n")
	} else if site := live.Policy.Site(host); site == nil {
		record.Action, record.Reason, record.Status = policy.Reject.String(), string(policy.UnknownHost), http.StatusNotFound
		respond(w, r, record.Status, "404: no site of this name is served here.\n")
	} else {
		record.Site, record.Action, record.Reason = site.Name, "redirect", PlainHTTP
		record.Status = redirect(w, r, host, h.Port)
	}
	record.Took = time.Since(start)
	if h.Log != nil {
		h.Log.Decision(&record)
	}
}

func redirect(w http.ResponseWriter, r *http.Request, host, port string) int {
	if strings.IndexByte(host, ':') >= 0 { // IPv6
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	path := http1.OriginForm(r.RequestURI)
	if path == "*" { // the whole server is asked about, which has no address (RFC 9110 section 9.3.7)
		path = "/"
	}
	status := http.StatusPermanentRedirect
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		status = http.StatusMovedPermanently
	}
	w.Header().Set("Location", "https://"+host+path)
	w.Header().Set("Content-Length", strconv.Itoa(0))
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	return status
}
