package render

import (
	"strings"
	"testing"

	"gate421/gate/report/analysis"
	"gate421/gate/report/logs"
)

func headlineOf(r *analysis.Report) headline { return report{r}.headline() }

func TestHeadlines(t *testing.T) {
	type (
		report = analysis.Report
		crawl  = analysis.Crawl
		served = map[string]int64
	)
	refused := func(change func(*crawl)) *report {
		r := &report{Until: at(7, 0, 0), Log: logs.Stats{Lines: 9},
			Waiting: []analysis.RefusedURL{{First: at(1, 0, 0)}},
			Crawl:   crawl{HTTP2: 500, HTTP1: 20, Refused: 500, RefusedURLs: 430, WaitingURLs: 430}}
		change(&r.Crawl)
		return r
	}
	fresh := refused(func(*crawl) {})
	fresh.Waiting[0].First = at(6, 22, 0)
	tests := []struct {
		report      *report
		kind, title string
		text        string // part of it
	}{
		{&report{}, kindNone, "There is nothing to report", "No log line"},
		{&report{Log: logs.Stats{Lines: 1}}, kindNone, "No verified crawler came", "in this part of the log"},
		{&report{Log: logs.Stats{Lines: 1}, Unknown: []analysis.Cause{{Cause: "timeout", Requests: 5, HTTP2: 5}}},
			kindWarn, "No verified crawler came", "5 claims could be neither"},
		{&report{Crawl: crawl{HTTP1: 9}}, kindGood, "All verified crawling came over HTTP/1.1",
			"nothing had to be refused"},
		{&report{Crawl: crawl{HTTP2: 1234, Served: served{"observed": 1234}}}, kindNone, "Nothing was refused, only " +
			"observed", "All 1,234 crawl requests over HTTP/2 would have been refused"},
		{&report{Crawl: crawl{HTTP2: 3, Served: served{"observed": 1, "allowed": 2}}}, kindNone, "Nothing was refused",
			"1 of 3 crawl requests over HTTP/2 were observed"},
		{&report{Crawl: crawl{HTTP2: 3, Served: served{"guard": 3}}}, kindWarn, "Nothing was refused",
			"although a rule says refuse"},
		{&report{Crawl: crawl{HTTP2: 3, Served: served{"allowed": 3}}}, kindNone, "Nothing was refused",
			"as the rules say"},
		{&report{Crawl: crawl{HTTP2: 3, Refused: 3, Untracked: 3}}, kindWarn, "3 crawl requests were refused",
			"none of them could be followed"},
		{refused(func(*crawl) {}), kindBad, "None of 430 refused URLs has been fetched over HTTP/1.1 since",
			"The oldest refusal is 6 days old. Pages that answer 421"},
		{fresh, kindWarn, "None of 430 refused URLs has been fetched over HTTP/1.1 since", "It is early"},
		{refused(func(c *crawl) {
			c.FetchedURLs, c.WaitingURLs, c.ComeBacks, c.P50, c.P95 = 412, 18, 412, 180, 7200
		}), kindWarn, "412 of 430 refused URLs were fetched over HTTP/1.1 afterwards", "Half of the fetches came " +
			"within 3 min, " +
			"95 % within 2 h. 18 URLs have not been fetched since: the oldest refusal is 6 days old."},
		{refused(func(c *crawl) { c.FetchedURLs, c.WaitingURLs = 30, 400 }), kindBad,
			"30 of 430 refused URLs were fetched over HTTP/1.1 afterwards", "400 URLs have not"},
		{refused(func(c *crawl) { c.FetchedURLs, c.WaitingURLs = 430, 0 }), kindGood,
			"All 430 refused URLs were fetched over HTTP/1.1 afterwards", ""},
	}
	for _, test := range tests {
		h := headlineOf(test.report)
		if h.Kind != test.kind || h.Title != test.title || !strings.Contains(h.Text, test.text) {
			t.Errorf("got %+v, want %s, %q, %q", h, test.kind, test.title, test.text)
		}
	}
}

func TestNotices(t *testing.T) {
	r := sample()
	check := func(want string) {
		t.Helper()
		if got := (report{r}).notices(); len(got) != 1 || got[0].Kind+": "+got[0].Title != want {
			t.Errorf("got %+v, want %q", got, want)
		}
	}
	check(kindWarn + ": The log is not whole")
	r.Changes, r.Log = r.Changes[:4], logs.Stats{}
	check(kindBad + ": The guard has stopped refusing every crawler on shop.example")
}

// Claims from where no crawler can be say that something hides the clients; one or two tests of the owner's say
// nothing.
func TestHiddenClientsNotice(t *testing.T) {
	for p, want := range map[analysis.PrivateClaims]bool{
		{Claims: 100, Requests: 100, Network: "10.0.0.0/24"}:  true,
		{Claims: 5100, Requests: 100, Network: "10.0.0.0/24"}: true,
		{Claims: 1, Requests: 1, Network: "fd00:1:2::/48"}:    true,
		{Claims: 102, Requests: 2, Network: "10.0.0.0/24"}:    false,
		{Claims: 50}: false,
		{}:           false,
	} {
		r := &analysis.Report{Private: p, Log: logs.Stats{Lines: 100}}
		got := strings.Join(strings.Fields(text(t, r, TextOptions{Width: 400})), " ")
		const title = "Something in front of the gateway hides the clients"
		if said := strings.Contains(got, title); said != want || want && !strings.Contains(got, "from "+p.Network) {
			t.Errorf("%+v: got %v, want %v, in\n%s", p, said, want, got)
		}
	}
}
