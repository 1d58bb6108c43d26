// Package admin answers one question: what is the gateway doing at this moment, and does it need its owner?
//
// It shows and decides nothing. [Admin.OnRecord] is given every record; it counts, and remembers the latest in a fixed
// amount of memory. [Admin.Handler] answers at four addresses:
//
//	/           the page: sites and their state, the guard, decisions by reason, the latest crawlers, certificates, the log
//	/style.css  its style sheet
//	/metrics    the same numbers for Prometheus
//	/readyz     200 "ok" as long as the gateway can serve its sites and takes new connections; 503 from the first moment of its end on
//	/health     the same
//	/livez      200 "ok" as long as the process answers
//
// # Health
//
// It is 503, with the reason in words, in two cases: no site is live, or [Config.Serving] returns an error. Everything
// else that may need the owner is no reason to take a gateway that serves out of service: a log that takes no lines,
// DNS trouble, a tripped guard and a certificate at its end are on the page and in the metrics, and health stays 200. A
// configuration file that was rejected is named in its text.
//
// # Metrics
//
//	gate421_decisions_total{site,action,reason}          site "": the host is not configured
//	gate421_verdicts_total{verdict,source}               source "": no lookup ended in time
//	gate421_verify_seconds                               histogram of lookups, those answered from memory left out
//	gate421_lookups_total{result}                        genuine, impostor or what went wrong
//	gate421_resolver_working                             0 while the DNS does not prove an address of Googlebot's
//	gate421_lookups_in_flight, _queued, _refused_total   refused: over budget
//	gate421_come_backs_total{site}                       refused URLs that the crawler then fetched over HTTP/1.x
//	gate421_verified_http1_requests_total{site}          requests of verified crawlers over HTTP/1.x, whatever was before
//	gate421_guard_tripped{site,crawler}                  1 while the guard keeps the site from refusing the crawler
//	gate421_guard_refusals{site,crawler}                 since the crawler last came over HTTP/1.x
//	gate421_guard_last_http1_timestamp_seconds{site,crawler} 0: never
//	gate421_origin_requests_total{site,result}           1xx to 5xx or a word of the record's origin_error
//	gate421_origin_seconds{site}                         histogram of the time until an origin's answer begins
//	gate421_origin_up{site,origin}                       0 while one of the site's own servers is left out
//	gate421_origin_requests_in_flight{site,origin}       of that server
//	gate421_connections_open{protocol}, _total{protocol} http1, http2, plain, none
//	gate421_handshakes_failed_total{cause}               no_hello, unknown_name, certificate, other
//	gate421_connections_made_way_total{shown}            silent, handshake, idle
//	gate421_limits_total{limit}                          times that a limit was enforced
//	gate421_requests_in_flight{protocol}                 http1, http2, plain
//	gate421_http2_stream_resets_total{by}                client, server
//	gate421_http2_connection_errors_total{kind}          the code of the server's GOAWAY, or ping_timeout
//	gate421_config_last_reload_successful                0 while the file's last change is rejected
//	gate421_config_last_reload_timestamp_seconds         when a configuration was last taken up
//	gate421_log_ready                                    0 while nobody is refused for want of a log
//	gate421_log_queue_lines, _queue_bytes                on their way to the file
//	gate421_log_written_lines_total, _bytes_total        in the file
//	gate421_log_lost_lines_total, _gaps_total            of served requests, dropped; lines that tell of missing ones
//	gate421_log_left_out_lines_total                     of networks that had had their share
//	gate421_log_refusals_given_up_total                  the line was not taken in time, so the request was served
//	gate421_log_write_failures_total, _rotations_total
//	gate421_log_sync_failures_total                      the disk did not confirm what was written
//	gate421_certificate_expiry_timestamp_seconds{host}   the earliest of several
//	gate421_ranges_prefixes{list}                        in a published list of address ranges
//	gate421_ranges_fetched_timestamp_seconds{list}       when its publisher last confirmed it; 0: never
//	gate421_ranges_stale{list}                           1 if that was more than three days ago, in spite of all attempts
//	gate421_build_info{version,goversion}                1
//
// and those of the process and of Go's runtime. Counts begin with the process; those of a
// site that is no longer configured stay where they are.
//
// # Strangers
//
// Whatever the log may not say of a client ([Config.Privacy]) is neither remembered nor shown here.
//
// Agent, path, host and reverse name of a record are chosen by strangers. They are cut, bytes that cannot be seen are
// replaced, html/template escapes them, and the Content-Security-Policy allows no script and nothing inline. Labels of
// metrics are the names of configured sites and fixed words: no request can add a series.
//
// The page is asked for by an IP address, as localhost or by a name of [Config.Hosts]; under every other name the
// answer is 403, because the DNS can point any name of an attacker's at this address (DNS rebinding). Only GET and HEAD
// are answered.
package admin

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gate421/gate/audit"
	"gate421/gate/guard"
	"gate421/gate/policy"
	"gate421/gate/visible"
)

// Config is what the page looks at. The functions are called by several goroutines and must not block: Now for every
// record, Policy for a record of a site not seen before, all of them for every answer.
type Config struct {
	// Policy is the live one. nil, or nil returned: no site is live.
	Policy func() *policy.Policy
	// Version is that of the live configuration. nil: not shown.
	Version func() string
	// Guard lists the crawlers of each site whose guard is on; a site of no live Policy is left out. nil: no site is
	// guarded.
	Guard func() []guard.Status
	// LogReady says whether a refusal's line would be taken. nil: it would.
	LogReady func() bool
	// Privacy says what may be remembered and shown of clients that claim no crawler; it is the log's. nil: everything.
	Privacy func() audit.Privacy
	// Log is what the decision log holds and has done. nil: not shown.
	Log func() audit.LogStats
	// Lookups is what verification does and has done. nil: not in the metrics.
	Lookups func() Lookups
	// Front returns what package front does and has done. nil: not in the metrics.
	Front func() FrontStats
	// Verification is whether the DNS can verify anybody. nil: not shown.
	Verification func() Verification
	// Enforced are the limits on connections that are being enforced now. nil: not shown.
	Enforced func() []Enforced
	// Origins are the sites' own servers, those of the live Policy; folders are none. nil: not shown.
	Origins func() []Origin
	// Certificates are those being served. nil: certificates are not shown.
	Certificates func() []Certificate
	// Ranges are the published lists of address ranges that are refreshed. nil: not shown.
	Ranges func() []RangeList
	// Serving says what keeps the gateway from serving, in words for its owner, such as "draining". nil, or nil
	// returned: nothing does.
	Serving func() error
	// Reload is what came of the configuration file's last change. nil: there is no file that is followed.
	Reload func() Reload
	// ResumeCommand and ExplainCommand are what a person types, in whatever folder, to re-arm the guard of a site and
	// to ask what is done with a page. nil: as they are typed in the configuration's folder.
	ResumeCommand  func(site string) string
	ExplainCommand func(page string) string
	// Product is the program, as in "gate421 1.2.3 (go1.26.9)"; its second word is the version in the metrics. "":
	// "gate421".
	Product string
	// Hosts are more names, without port, that the page may be asked for under.
	Hosts []string
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

// Certificate is one certificate being served.
type Certificate struct {
	Hosts     []string
	NotBefore time.Time // zero: not known
	NotAfter  time.Time
}

// Admin is safe for any number of goroutines.
type Admin struct {
	config  Config
	hosts   []string
	started time.Time
	page    *template.Template
	tallies tallies
	askedAt atomic.Int64 // when, in Unix nanoseconds; see Asked
	claims  *recent      // records that claim a crawler
	others  *recent
	waiting *waiting
}

const (
	recentClaims = 200
	recentOthers = 50
	maxBody      = 1 << 20 // of a request; nothing here reads one
)

//go:embed page.html
var pageText string

//go:embed style.css
var styleText []byte

// New makes an Admin that has seen no record yet.
func New(c Config) *Admin {
	if c.Policy == nil {
		c.Policy = func() *policy.Policy { return nil }
	}
	if c.Version == nil {
		c.Version = func() string { return "" }
	}
	if c.Guard == nil {
		c.Guard = func() []guard.Status { return nil }
	}
	if c.Privacy == nil {
		c.Privacy = func() audit.Privacy { return audit.Privacy{} }
	}
	if c.LogReady == nil {
		c.LogReady = func() bool { return true }
	}
	if c.Serving == nil {
		c.Serving = func() error { return nil }
	}
	if c.ResumeCommand == nil {
		c.ResumeCommand = func(site string) string {
			if strings.Contains(site, "*") {
				site = "'" + site + "'" // a shell would look for files of that name
			}
			return "gate421 rules resume " + site
		}
	}
	if c.ExplainCommand == nil {
		c.ExplainCommand = func(page string) string { return "gate421 explain " + page }
	}
	if c.Product == "" {
		c.Product = "gate421"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Admin{
		config:  c,
		started: c.Now(),
		claims:  newRecent(recentClaims),
		others:  newRecent(recentOthers),
		waiting: newWaiting(),
	}
	for _, host := range c.Hosts {
		a.hosts = append(a.hosts, strings.ToLower(strings.TrimSuffix(host, ".")))
	}
	a.page = template.Must(template.New("page").Parse(pageText))
	a.tallies.start()
	return a
}

// Handler answers for the admin address.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.servePage)
	mux.HandleFunc("GET /style.css", a.serveStyle)
	mux.HandleFunc("GET /livez", a.serveLive)
	mux.HandleFunc("GET /readyz", a.serveReady)
	mux.HandleFunc("GET /health", a.serveReady)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry(), promhttp.HandlerOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		if !a.knowsName(r.Host) {
			http.Error(w,
				"403: this page does not answer under that name. Ask for it by its IP address or as localhost.",
				http.StatusForbidden)
			return
		}
		if r.ContentLength > maxBody {
			w.Header().Set("Connection", "close")
			http.Error(w, "413: nothing here takes a body.", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	})
}

// harden tells browsers to run, frame, guess, keep and pass on nothing.
func harden(h http.Header) {
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// knowsName says whether a Host header names this page and no name that the DNS of a stranger could have brought here.
// No browser leaves the header empty; health checks over HTTP/1.0 do.
func (a *Admin) knowsName(authority string) bool {
	if authority == "" {
		return true
	}
	host := authority
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		if _, err := strconv.ParseUint(host[colon+1:], 10, 16); err != nil {
			return false
		}
		host = host[:colon]
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		inner, bracketed = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return bracketed && err == nil && addr.Is6()
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Is4()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || slices.Contains(a.hosts, host)
}

func (a *Admin) servePage(w http.ResponseWriter, r *http.Request) {
	var page bytes.Buffer
	if err := a.page.Execute(&page, a.view(r.URL.Query().Get("refresh") == refreshSeconds)); err != nil {
		http.Error(w, "500: the page cannot be put together.", http.StatusInternalServerError)
		return
	}
	respond(w, r, "text/html; charset=utf-8", http.StatusOK, page.Bytes())
}

func (a *Admin) serveStyle(w http.ResponseWriter, r *http.Request) {
	respond(w, r, "text/css; charset=utf-8", http.StatusOK, styleText)
}

// serveLive answers for as long as the process can: whoever restarts it for another reason makes things worse.
func (a *Admin) serveLive(w http.ResponseWriter, r *http.Request) {
	respond(w, r, "text/plain; charset=utf-8", http.StatusOK, []byte("ok\n"))
}

// Asked is when somebody last asked whether the gateway is ready; zero: nobody ever did.
func (a *Admin) Asked() time.Time {
	if at := a.askedAt.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

func (a *Admin) serveReady(w http.ResponseWriter, r *http.Request) {
	a.askedAt.Store(a.config.Now().UnixNano())
	status, words := http.StatusOK, "ok"
	if why := a.unwell(); why != "" {
		status, words = http.StatusServiceUnavailable, why
	}
	if !a.config.LogReady() {
		words += "\nthe decision log takes no lines, so nobody is refused"
	}
	if rejected, ok := a.rejected(); ok {
		words += "\nthe configuration file was rejected, and the one before is in use: " + rejected.Error
	}
	if v, failing := a.failing(); failing {
		words += "\nnobody can be verified, so nobody is refused: " + visible.Text(v.Why)
	}
	respond(w, r, "text/plain; charset=utf-8", status, []byte(words+"\n"))
}

// unwell says why the gateway cannot do its job, "" if it can.
func (a *Admin) unwell() string {
	if err := a.config.Serving(); err != nil {
		return "not serving: " + err.Error()
	}
	if len(a.config.Policy().Sites()) == 0 {
		return "not serving: no site is live"
	}
	return ""
}

func respond(w http.ResponseWriter, r *http.Request, kind string, status int, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body) // a client that went away is nobody's error
	}
}
