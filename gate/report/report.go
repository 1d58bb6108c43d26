// Package report answers one question: what does the decision log prove?
//
// [Examine] reads logs and says what became of the crawl; the [Report] that it makes can be read as text, as a page or as
// JSON. [Select] finds lines, and a [Tail] waits for new ones. All take a log as they find it, torn, damaged, hostile or of
// any length: nothing in it is fatal, and memory is bounded. What was done and how it gets into the log is the business of
// package audit; this one shares nothing with it but the schema.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"gate421/gate/visible"
)

// Report is what a stretch of the log says about the crawl. Its JSON form is its documented schema: names, units and order
// are those of the fields below, lists are sorted as their comments say, and the same lines give the same report, byte for
// byte, however many processors read them.
//
// A crawl request is one of a client that was proved to be the crawler it claims to be, over HTTP/2 or HTTP/1.x. A URL is a crawler, a host and a
// path with its query, as the log has them. A refused URL counts as fetched once the same crawler got an answer below 500
// for it over HTTP/1.x, later than the refusal.
type Report struct {
	V     int       `json:"v"`              // of this schema: 1
	From  time.Time `json:"from,omitzero"`  // time of the earliest record counted, UTC
	Until time.Time `json:"until,omitzero"` // of the latest
	Asked Asked     `json:"asked"`
	Log   Reading   `json:"log"`

	Crawl Crawl       `json:"crawl"` // all sites together
	Sites []SiteCrawl `json:"sites"` // by name
	Step  int64       `json:"step_seconds"`

	Waiting   []Refused `json:"not_fetched_since"` // refused and not fetched since: those refused the longest ago first, then by URL
	Impostors []Network `json:"impostors"`         // most requests first, then by network
	Unknown   []Cause   `json:"unknown"`           // most requests first, then by cause
	Private   Private   `json:"private"`
	Changes   []Change  `json:"changes"` // in the order of their time
}

// Asked is what the report was asked for; what is empty was not.
type Asked struct {
	Since time.Time `json:"since,omitzero"` // records at this time or later
	Until time.Time `json:"until,omitzero"` // records before this time
	Site  string    `json:"site,omitempty"` // a site's name
	Path  string    `json:"path,omitempty"` // a pattern as in the configuration
}

// Reading says how much of what was read could be used, and whether the log is whole.
type Reading struct {
	Files     []string `json:"files"`          // as they were opened, in the order they were read
	Bytes     int64    `json:"bytes"`          // read, after decompression
	Lines     int64    `json:"lines"`          // read, not counting empty ones
	Records   int64    `json:"records"`        // decisions that fit what was asked
	Broken    int64    `json:"broken"`         // lines that were a decision log's and are no whole JSON object: torn, or cut off
	Foreign   int64    `json:"foreign"`        // lines that no decision log wrote
	Repeated  int64    `json:"repeated"`       // lines that were read before, and count once: the same boot and seq
	Other     int64    `json:"other_versions"` // of the lines used: those of another version of the log's schema
	Boots     int64    `json:"boots"`          // runs of gateways that wrote
	Gaps      int64    `json:"gaps"`           // gap lines that tell of lost lines
	Lost      int64    `json:"lost"`           // lines that gap lines say were lost
	LeftOut   int64    `json:"left_out"`       // those that they say were left out: too many of one network
	Removed   int64    `json:"removed"`        // those removed by age, of whose files only what proves something was kept
	Unsynced  int64    `json:"unsynced"`       // those that the disk did not confirm; they may be here all the same
	Missing   int64    `json:"missing"`        // numbers that miss in seq inside of a boot, and that no gap line explains
	Withdrawn int64    `json:"withdrawn"`      // refusals that a later line of the same request takes back: it was served
	Damaged   []string `json:"damaged"`        // files that could not be read to their end, each with ": " and why

	// Of a question about one site: whether it is in the log at any time, else which sites are, by name, at most 1,000, and to
	// which of them the host belongs that was asked for.
	SiteSeen bool     `json:"-"`
	Others   []string `json:"-"`
	SiteOf   string   `json:"-"`
}

// Ours is how many of the lines are those of a decision log.
func (l *Reading) Ours() int64 { return l.Lines - l.Broken - l.Foreign }

// Crawl counts crawl requests.
type Crawl struct {
	HTTP2   int64            `json:"http2"`
	HTTP1   int64            `json:"http1"` // HTTP/1.0 and 1.1
	Refused int64            `json:"refused"`
	Served  map[string]int64 `json:"http2_served"` // over HTTP/2 and not refused, by reason

	RefusedURLs int64   `json:"refused_urls"`          // those followed; FetchedURLs and WaitingURLs add up to it
	FetchedURLs int64   `json:"fetched_urls"`          // fetched since their last refusal
	WaitingURLs int64   `json:"waiting_urls"`          // not fetched since
	FailedURLs  int64   `json:"failed_urls"`           // of those waiting: the crawler came over HTTP/1.x, and got an error
	Beyond      int64   `json:"refusals_beyond"`       // refusals of URLs beyond those that can be followed
	ComeBacks   int64   `json:"come_backs"`            // fetches that ended a wait
	P50         float64 `json:"come_back_p50_seconds"` // from the first refusal of a wait to its end, within 1 %; 0 without
	P95         float64 `json:"come_back_p95_seconds"`

	Curve []Point `json:"curve"` // by time, without holes from the first point to the last
}

// Point is a step of a curve: the crawl requests from Time until the next.
type Point struct {
	Time    time.Time `json:"time"`
	HTTP2   int64     `json:"http2"`
	HTTP1   int64     `json:"http1"`
	Refused int64     `json:"refused"`
}

// SiteCrawl is one site's.
type SiteCrawl struct {
	Site string `json:"site"`
	Crawl
	Rules []RuleCrawl `json:"rules"` // by rule
}

// RuleCrawl is that of one rule of a site: a pattern, or http2_crawl.
type RuleCrawl struct {
	Rule  string `json:"rule"`
	State string `json:"state"` // in the latest record
	Crawl
}

// Refused is a URL that was refused and has not been fetched since.
type Refused struct {
	Crawler  string    `json:"crawler"`
	Site     string    `json:"site"`
	Host     string    `json:"host"`
	Path     string    `json:"path"`
	First    time.Time `json:"first"` // refused, since it was last fetched
	Last     time.Time `json:"last"`
	Refusals int64     `json:"refusals"` // since it was last fetched

	// The latest time since First that the crawler came for it over HTTP/1.x and got no page but an error of the server, 500 or
	// above; left out if it did not come.
	Came   time.Time `json:"came,omitzero"`
	Status int       `json:"came_status,omitempty"`
}

// Network is a /24 or /48 from which somebody claimed to be a crawler and was not. Beyond 100,000 networks the rest is one
// entry without a network, the last of the list.
type Network struct {
	Network  string    `json:"network"`
	Crawler  string    `json:"crawler"` // the claim of the latest request
	Requests int64     `json:"requests"`
	HTTP2    int64     `json:"http2"` // of them
	PTR      string    `json:"ptr"`   // the latest reverse name that was looked at
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// Private is what came from addresses that nobody on the internet has (private, loopback, link-local, shared by a carrier's
// customers): where a crawler's claim comes from one, something stands in front of the gateway and hides the client.
type Private struct {
	Claims   int64  `json:"claims"`            // to be a crawler, from anywhere
	Requests int64  `json:"requests"`          // of them, not proved and from such an address
	Network  string `json:"network,omitempty"` // the /24 or /48 of the latest
}

// Cause is why claims could not be proved or disproved.
type Cause struct {
	Cause    string `json:"cause"`
	Requests int64  `json:"requests"`
	HTTP2    int64  `json:"http2"` // of them
}

// Change is something that could bend the curve: a rule's change, or the guard stopping or resuming refusals.
type Change struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // rule or guard
	Site    string    `json:"site"`
	Rule    string    `json:"rule,omitempty"`
	From    string    `json:"from,omitempty"`    // "": the rule was not there
	To      string    `json:"to,omitempty"`      // "": it is gone
	What    string    `json:"what,omitempty"`    // guard: tripped or resumed
	Crawler string    `json:"crawler,omitempty"` // guard: whose refusals stopped or go on; "": every crawler's
	By      string    `json:"by,omitempty"`
}

// JSON writes the report as one indented JSON object. What shows nothing or does something to a terminal is escaped.
func (r *Report) JSON(w io.Writer) error {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return err
	}
	_, err := w.Write(escapeHidden(out.Bytes()))
	return err
}

// escapeHidden escapes what is hidden in a JSON text; between its strings there is nothing of that but line ends.
func escapeHidden(text []byte) []byte {
	risky := func(c rune) bool { return c != '\n' && visible.Hidden(c) }
	if !bytes.ContainsFunc(text, risky) {
		return text
	}
	var out []byte
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		switch {
		case !risky(c):
			out = append(out, text[:size]...)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		text = text[size:]
	}
	return out
}
