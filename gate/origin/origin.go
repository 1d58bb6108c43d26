// Package origin answers one question: how does a request reach the server behind the gate, and its response the
// client, unchanged?
//
// An [Origin] is a folder, or one server, or several of the same site. A server is reached by
//
//	http://host[:port]    HTTP/1.1
//	https://host[:port]   HTTP/1.1 over TLS
//	h2c://host[:port]     HTTP/2 without TLS, with prior knowledge
//	h2://host[:port]      HTTP/2 over TLS
//	unix:/path            HTTP/1.1 over a Unix socket
//	file:/folder          no server: files, of whatever stands under that name when a request comes
//
// What is passed on:
//
//   - method, path and query byte for byte, the Host as the client sent it, the header but for hop-by-hop fields, the
//     body and its trailers streamed; the response's status, header, body and trailers the same way back, informational
//     responses before it, content encodings untouched. Repeated fields keep their order; different fields go in the
//     order of their names. Between HTTP/1.1 and HTTP/1.1 names are written as the other side wrote them; those of
//     HTTP/2, in lower case alone, and the gate's own as they are registered;
//   - who the client is, in X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto and X-Real-IP: see package forwarding.
//     Whatever a stranger sent under these names and their like is dropped, in every spelling that CGI and its heirs
//     take for the same: an origin may believe them;
//   - no field behind a body that could be taken for one of the header's: see client.AllowedTrailer;
//   - an Upgrade over HTTP/1.1 (WebSocket) to an HTTP/1.1 origin, after which bytes go both ways as they come. HTTP/2
//     clients are not offered extended CONNECT (RFC 8441): they open an HTTP/1.1 connection for a WebSocket, as
//     browsers do.
//
// Bodies are passed on as they come: what a client has sent goes on before more is read. A response that begins before
// the body has ended is passed on at once; neither connection serves another request after one that never ended.
//
// One exception is made for applications that read no body without a Content-Length, as CGI and WSGI let them: a body
// of unknown length (HTTP/2 needs none, HTTP/1.1 has chunks) is waited for before an HTTP/1.1 server hears of the
// request, for 200 ms at the longest. If all of it has come by then, and is no longer than 64 KiB, it is sent with its
// Content-Length. Otherwise it is sent in chunks from then on, as it comes. If it has broken off by then, no server
// hears of it. Nobody waits where a client announces trailers, for
// gRPC, nor while 1,024 bodies are held for one server.
//
// Expect: 100-continue asks the server of a body whose length is known whether it wants it. Where the length is
// unknown, and is waited for, the client gets its 100 Continue from here, as from nginx, and up to a second for the
// body; the server hears of no expectation then, and its early final response reaches the client as to any other
// upload. Either way a client gets one 100 Continue, and none behind a final response.
//
// A request that HTTP/1.1 cannot carry in one way only is answered 400, and the origin hears nothing of it: HTTP/2 lets
// a client send methods and targets with spaces in them, and both protocols hosts that are none.
//
// Towards an origin over TLS the name in the handshake is the request's host and connections are pooled by host,
// because servers such as Apache answer 421 when the handshake's name and the Host differ. An origin's own 421 never
// reaches a client: over HTTP/1.x a crawler would take it for a page that is gone. A request without a body is tried
// once more on a new connection; what is still a 421 becomes a 502, origin_misdirected.
//
// # Connections that servers close
//
// An HTTP/1.1 server closes a connection that was idle for a while, at a moment of its own. What can be sent again,
// a request without a body whose method is idempotent, goes on any idle connection. What cannot goes on one that
// has answered within half a second, or within half of the time that the server names (Keep-Alive: timeout), or on
// a new one. No connection is used beyond the time that its server names, less a second.
//
// # Logins of connections
//
// NTLM, Negotiate and their kin (RFC 4559) prove once who sends the requests of a connection. From the first sign
// of one on, in a request's Authorization or a response's WWW-Authenticate, a connection to an HTTP/1.1 origin is
// its client's alone: it serves no other [Client], and is closed with it. A request with such a login goes on the
// client's own connection, or on a new one. The next step of a login that is half done is sent on its own
// connection to its own server, or not at all: where that is gone, the response is a 502 and the end of the client's
// connection, so that the client starts again. Where a server asks for the next step before it has read a body of known
// length, it gets the rest of it: clients keep their connection for the login, too.
//
// Of HTTP/2's clients nothing is kept, nor where a request's context has no Client or where it says that it is
// forwarded: a request with a login then has a connection for itself, so that a login of one step is served and one
// of several never ends. Clients use HTTP/1.1 for these, as IIS has them do. So it is with HTTP/2 origins, too.
//
// # HTTP/2 servers
//
// A connection to an HTTP/2 server carries the requests of one client connection at a time, so that nobody is held up
// by what another client does not read, sends or provokes; see h2pool for what that costs. What the server did not
// process (RFC 9113 section 8.7) is sent again a few times at most, whatever its method; up to 80 KiB of its body are
// kept for that until the server begins its response or takes more.
//
// Until a response begins one Wait has to be enough for everything: connecting, all attempts, the server's thinking.
// While the client sends its body the time stands still, and starts again with the last byte that the server takes.
//
// # Several servers
//
// The one with the fewest requests in flight is asked. Three failures within ten seconds leave a server out for ten
// seconds, then one request tries it: if that fails too, it is left out for twice as long, up to two minutes. Where all
// are out, the one whose failure is longest ago is asked nevertheless. A request that reached nobody is asked of the
// next server whatever it is, and so is one that an HTTP/2 server did not process; one that broke off without a
// response only if it has no body and may be repeated. Nothing is asked twice of a server that is only slow.
//
// Trouble with an origin is answered with 502 or 504, and named in the error that Serve returns.
package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"gate421/gate/http1/client"
)

// Config of an Origin.
type Config struct {
	Servers            []string      // at least one, as above; a folder stands alone
	ServerName         string        // over TLS: the name in the handshake; "": the request's host
	CA                 string        // over TLS: a PEM file of the authorities to trust; "": the system's
	InsecureSkipVerify bool          // over TLS: take any certificate
	ClientCert         string        // over TLS: a PEM file of the certificate to show, with its chain; "": none
	ClientKey          string        // the PEM file of its key
	Wait               time.Duration // the longest until a response begins, and between its bytes; 0: 60 s
	Descriptors        *Descriptors  // shared with the other origins; nil: no bound
	StallTime          time.Duration // a response of known length has to come so fast: in so much time …; 0: 60 s
	StallBytes         int           // … so many bytes, see minRate; 0: 64 KiB
	// Dial connects to a server: tcp and its host:port, or unix and its path. nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// OnHealth is called when a server or the folder has stopped answering, after three failures in a row, and when it
	// answers again. It is called by the goroutine of a request, which waits for it, and by several at once. nil:
	// nobody is called.
	OnHealth func(Health)
}

// Origin serves requests; it is safe for any number of goroutines. Close it when no request uses it any more.
type Origin struct {
	list   *list   // nil: folder
	folder *folder // nil: list
	name   string
}

// New prepares an origin. It connects to nothing; a folder, and files for TLS, have to exist.
func New(c Config) (*Origin, error) {
	c.Wait, c.StallTime, c.StallBytes = cmp.Or(
		c.Wait,
		60*time.Second,
	), cmp.Or(
		c.StallTime,
		60*time.Second,
	), cmp.Or(
		c.StallBytes,
		64<<10,
	)
	if len(c.Servers) == 0 {
		return nil, errors.New("origin: has no servers")
	}
	l := &list{wait: c.Wait, onHealth: c.OnHealth}
	for _, written := range c.Servers {
		where, err := parse(written)
		switch {
		case err != nil:
		case where.scheme != "file":
			var s *server
			if s, err = newServer(written, where, c); err == nil {
				l.servers = append(l.servers, s)
				continue
			}
		case len(c.Servers) > 1:
			err = errors.New("a folder cannot be one of several")
		default:
			var f *folder
			if f, err = newFolder(where.dial); err == nil {
				f.name, f.onHealth, f.files = written, c.OnHealth, c.Descriptors
				return &Origin{folder: f, name: written}, nil
			}
		}
		l.close()
		return nil, fmt.Errorf("origin %q: %w", written, err)
	}
	l.files = c.Descriptors
	l.files.add(l, l.kept.closeIdle)
	return &Origin{list: l, name: c.Servers[0]}, nil
}

// Serve answers one request and returns when the response is complete; see gate.Origin for what it returns. CONNECT is
// answered 405, and ends an HTTP/1.1 connection: the gate is no tunnel, and what comes behind may be meant for one (RFC
// 9931). So is TRACE, whose response would show what the gate adds.
func (o *Origin) Serve(
	w http.ResponseWriter,
	r *http.Request,
) (server string, status int, timeToFirstByte time.Duration, err error) {
	switch {
	case r.Method == http.MethodConnect, r.Method == http.MethodTrace && o.folder == nil: // a folder refuses it itself
		o.rejectMethod(w, r)
		return "", 0, 0, nil
	case !client.WellFormed(r):
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // who knows where the next request begins
		}
		http.Error(w, "400: the request is malformed.", http.StatusBadRequest)
		return "", 0, 0, nil
	case o.folder != nil:
		status, timeToFirstByte, err = o.folder.serve(w, r)
		return o.name, status, timeToFirstByte, err
	}
	return o.list.serve(w, r)
}

// rejectMethod names the methods that are served (RFC 9110 section 15.5.6); a server may know more.
func (o *Origin) rejectMethod(w http.ResponseWriter, r *http.Request) {
	allow := "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	if o.folder != nil {
		allow = "GET, HEAD"
	}
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodConnect && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	http.Error(w, "405: "+r.Method+" is not served here.", http.StatusMethodNotAllowed)
}

// String is the first server as configured.
func (o *Origin) String() string { return o.name }

// Close lets go of idle connections.
func (o *Origin) Close() {
	if o.list != nil {
		o.list.close()
	}
}

// Status is how one server of an origin does.
type Status struct {
	Address  string    // as configured
	InFlight int       // requests
	Failures uint64    // since New
	OutUntil time.Time // it is left out until then, or until a request has tried it; zero: it is asked
	Down     bool      // it has not answered the last three requests or more; what OnHealth has said
	Since    time.Time // with Down: its first failure in a row
	Err      error     // with Down: the latest one
}

// Status lists the servers in their order, or a folder that cannot be opened.
func (o *Origin) Status() []Status {
	if o.list == nil {
		s := Status{Address: o.name}
		if s.Down, s.Since, s.Err = o.folder.outage.status(); s.Down {
			return []Status{s}
		}
		return nil
	}
	return o.list.status()
}
