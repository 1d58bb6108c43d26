package analysis

import (
	"time"

	"gate421/gate/report/logs"
)

// Report is what a part of the log says about the crawl. Its JSON form is its documented schema: names, units and order
// are those of the fields below, lists are sorted as their comments say, and the same lines give the same report, byte
// for byte, however many processors read them.
//
// A crawl request is one of a client that was proved to be the crawler it claims to be, over HTTP/2 or HTTP/1.x. A URL
// is a crawler, a host and a path with its query string, as the log has them. A refused URL counts as fetched once the
// same crawler got a response below 500 for it over HTTP/1.x, later than the refusal.
type Report struct {
	V     int        `json:"v"`              // of this schema: 1
	From  time.Time  `json:"from,omitzero"`  // time of the earliest record counted, UTC
	Until time.Time  `json:"until,omitzero"` // of the latest
	Scope Scope      `json:"asked"`
	Log   logs.Stats `json:"log"`

	Crawl Crawl       `json:"crawl"` // all sites together
	Sites []SiteCrawl `json:"sites"` // by name
	Step  int64       `json:"step_seconds"`

	Waiting   []RefusedURL  `json:"not_fetched_since"` // not fetched since: the oldest refusal first, then by URL
	Impostors []Network     `json:"impostors"`         // most requests first, then by network
	Unknown   []Cause       `json:"unknown"`           // most requests first, then by cause
	Private   PrivateClaims `json:"private"`
	Changes   []Change      `json:"changes"` // in the order of their time
}

// Scope is what the report was asked for; what is empty was not.
type Scope struct {
	Since time.Time `json:"since,omitzero"` // records at this time or later
	Until time.Time `json:"until,omitzero"` // records before this time
	Site  string    `json:"site,omitempty"` // a site's name
	Path  string    `json:"path,omitempty"` // a pattern as in the configuration
}

// Crawl counts crawl requests.
type Crawl struct {
	HTTP2   int64            `json:"http2"`
	HTTP1   int64            `json:"http1"` // HTTP/1.0 and 1.1
	Refused int64            `json:"refused"`
	Served  map[string]int64 `json:"http2_served"` // over HTTP/2 and not refused, by reason

	RefusedURLs int64   `json:"refused_urls"`          // those tracked; FetchedURLs and WaitingURLs add up to it
	FetchedURLs int64   `json:"fetched_urls"`          // fetched since their last refusal
	WaitingURLs int64   `json:"waiting_urls"`          // not fetched since
	FailedURLs  int64   `json:"failed_urls"`           // of those waiting: the crawler came back and got an error
	Untracked   int64   `json:"refusals_beyond"`       // refusals of URLs beyond those that can be tracked
	ComeBacks   int64   `json:"come_backs"`            // fetches that ended a wait; it began with the first refusal
	P50         float64 `json:"come_back_p50_seconds"` // of those waits, within 1 %; 0 without any
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

// SiteCrawl is the crawl of one site.
type SiteCrawl struct {
	Site string `json:"site"`
	Crawl
	Rules []RuleCrawl `json:"rules"` // by rule
}

// RuleCrawl is the crawl of one rule of a site: a pattern, or http2_crawl.
type RuleCrawl struct {
	Rule  string `json:"rule"`
	State string `json:"state"` // in the latest record
	Crawl
}

// RefusedURL is a URL that was refused and has not been fetched since.
type RefusedURL struct {
	Crawler  string    `json:"crawler"`
	Site     string    `json:"site"`
	Host     string    `json:"host"`
	Path     string    `json:"path"`
	First    time.Time `json:"first"` // refused, since it was last fetched
	Last     time.Time `json:"last"`
	Refusals int64     `json:"refusals"` // since it was last fetched

	// The latest time since First that the crawler came for it over HTTP/1.x and got an error of the server, 500 or
	// above, instead of the page; left out if it did not come.
	FailedAt     time.Time `json:"came,omitzero"`
	FailedStatus int       `json:"came_status,omitempty"`
}

// Network is a /24 or /48 from which somebody claimed to be a crawler and was not. Beyond 100,000 networks the rest is
// one entry without a network, the last of the list.
type Network struct {
	Network  string    `json:"network"`
	Crawler  string    `json:"crawler"` // the claim of the latest request
	Requests int64     `json:"requests"`
	HTTP2    int64     `json:"http2"` // of them
	PTR      string    `json:"ptr"`   // the latest reverse name that was looked up
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// PrivateClaims are claims from addresses that nobody on the internet has (private, loopback, link-local, shared by a
// carrier's customers): where a crawler's claim comes from one, something stands in front of the gateway and hides the
// client.
type PrivateClaims struct {
	Claims   int64  `json:"claims"`            // to be a crawler, from anywhere
	Requests int64  `json:"requests"`          // of them, not proved and from such an address
	Network  string `json:"network,omitempty"` // the /24 or /48 of the latest
}

// Cause is why claims could be neither proved nor disproved.
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
