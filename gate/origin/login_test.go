package origin

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// personal is an origin as IIS is one: a login of several requests proves who sends the requests of a connection,
// and from then on whoever asks on it is that person. It answers with the person's name.
type personal struct {
	scheme      string // NTLM, Negotiate …
	silent      bool   // it lets in whoever presents a login, and never speaks of it
	connections atomic.Int64
}

func (p *personal) converse(c net.Conn, r *bufio.Reader) {
	number := p.connections.Add(1)
	person := ""
	for {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.Copy(io.Discard, request.Body)
		said, _ := strings.CutPrefix(request.Header.Get("Authorization"), p.scheme+" ")
		token, _ := base64.StdEncoding.DecodeString(said)
		name, proof, _ := strings.Cut(string(token), "/")
		challenge := ""
		switch {
		case p.silent && name != "" || name != "" && proof == fmt.Sprint("step", number):
			person = name
		case name != "":
			challenge = " " + base64.StdEncoding.EncodeToString(fmt.Append(nil, "step", number))
		}
		switch {
		case person != "":
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(person), person)
		case p.silent:
			io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
		default:
			fmt.Fprintf(c, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: %s%s\r\n", p.scheme, challenge)
			io.WriteString(c, "WWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n")
		}
	}
}

// connected serves an origin as open does, and tells the connections of clients apart.
func connected(t *testing.T, o *Origin, http2 bool) *gateway {
	t.Helper()
	g := &gateway{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, _, err := o.Serve(w, r); (outcome{err: err}).cut() {
			panic(http.ErrAbortHandler)
		}
	}))}
	var clients sync.Map
	g.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		client := NewClient(ctx)
		clients.Store(c, client)
		return client
	}
	g.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if client, ok := clients.Load(c); ok && (state == http.StateClosed || state == http.StateHijacked) {
			client.(*Client).End()
		}
	}
	if g.EnableHTTP2 = http2; http2 {
		g.StartTLS()
	} else {
		g.Start()
	}
	t.Cleanup(func() {
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

// reach makes an origin of servers whatever their certificates.
func reach(t *testing.T, servers ...string) *Origin {
	t.Helper()
	o, err := New(Config{Servers: servers, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// visitor is a client with connections of its own.
type visitor struct {
	t         *testing.T
	gateway   *gateway
	transport *http.Transport
	step      string // what the server has asked for
}

func (g *gateway) visitor(t *testing.T) *visitor {
	transport := g.Client().Transport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t: t, gateway: g, transport: transport}
}

// ask sends one request, and returns the status and the person whom the server takes the visitor for.
func (v *visitor) ask(method, authorization string) (status int, person string) {
	v.t.Helper()
	r := v.gateway.request(v.t, method, "/", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer, err := v.transport.RoundTrip(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer answer.Body.Close()
	v.step = ""
	for _, value := range answer.Header["Www-Authenticate"] {
		if _, step, ok := strings.Cut(value, " "); ok && !strings.Contains(step, "realm") {
			step, _ := base64.StdEncoding.DecodeString(step)
			v.step = string(step)
		}
	}
	return answer.StatusCode, content(v.t, answer)
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func token(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// login is the conversation that makes a visitor somebody.
func (v *visitor) login(scheme, name string) (status int, person string) {
	v.t.Helper()
	v.ask("GET", "")
	v.ask("GET", scheme+" "+token(name))
	return v.ask("GET", scheme+" "+token(name+"/"+v.step))
}

// Who has logged in on a connection is nobody else, whatever both of them speak and how the server is reached.
func TestLoginIsOneClients(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"NTLM", "Negotiate", "Nego2", "ntlm"} {
		for bits := range 16 {
			secure, silent, first, second := bits&1 > 0, bits&2 > 0, bits&4 > 0, bits&8 > 0
			name := fmt.Sprintf("%s,tls=%v,silent=%v,http2=%v,http2=%v", scheme, secure, silent, first, second)
			t.Run(name, func(t *testing.T) {
				checkLoginIsOneClients(t, scheme, secure, silent, first, second)
			})
		}
	}
}

func checkLoginIsOneClients(t *testing.T, scheme string, secure, silent, first, second bool) {
	p := &personal{scheme: scheme, silent: silent}
	o := reach(t, "http://"+listen(t, nil, p.converse))
	if secure {
		o = reach(t, "https://"+listen(t, newAuthority(t).issue(t, inAnHour(), "shop.example"), p.converse))
	}
	one, other := connected(t, o, first).visitor(t), connected(t, o, second).visitor(t)
	status, person := one.login(scheme, "ann")
	if !first && !silent && (status != 200 || person != "ann") {
		t.Errorf("after the login: %d %q", status, person)
	}
	for range 3 {
		if status, person := other.ask("GET", ""); status == 200 || person != "" {
			t.Errorf("the other is taken for %q: %d", person, status)
		}
	}
	if status, person := one.ask("POST", ""); !first && !silent && (status != 200 || person != "ann") {
		t.Errorf("later: %d %q", status, person)
	}
	if status, person := other.login(scheme, "bob"); !second && !silent && (status != 200 || person != "bob") {
		t.Errorf("the other's own login: %d %q", status, person)
	}
	if status, person := one.ask("GET", ""); !first && !silent && (status != 200 || person != "ann") {
		t.Errorf("after the other's login: %d %q", status, person)
	}
}
