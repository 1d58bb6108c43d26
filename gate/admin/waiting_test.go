package admin

import (
	"fmt"
	"testing"

	"gate421/gate/audit"
)

// A come-back is the fetch of a refused URL over HTTP/1.x by the verified crawler that was refused, and counts once.
func TestComeBacks(t *testing.T) {
	refused := func(path string) audit.Record {
		return audit.Record{
			Claim:   "googlebot",
			Host:    "a.test",
			Path:    path,
			Verdict: "genuine",
			Action:  "refuse",
			Reason:  "refused",
			Status:  421,
		}
	}
	fetched := func(path string, change func(*audit.Record)) audit.Record {
		r := audit.Record{
			Claim:   "googlebot",
			Host:    "a.test",
			Path:    path,
			Verdict: "genuine",
			Action:  "serve",
			Reason:  "http1",
			Status:  200,
		}
		if change != nil {
			change(&r)
		}
		return r
	}
	for _, test := range []struct {
		name    string
		records []audit.Record
		want    int
	}{
		{"never refused", []audit.Record{fetched("/", nil), fetched("/", nil)}, 0},
		{"refused and fetched", []audit.Record{refused("/"), fetched("/", nil)}, 1},
		{"fetched before", []audit.Record{fetched("/", nil), refused("/")}, 0},
		{"fetched twice", []audit.Record{refused("/"), fetched("/", nil), fetched("/", nil)}, 1},
		{"refused twice, fetched once", []audit.Record{refused("/"), refused("/"), fetched("/", nil)}, 1},
		{"refused again", []audit.Record{refused("/"), fetched("/", nil), refused("/"), fetched("/", nil)}, 2},
		{"another path", []audit.Record{refused("/"), fetched("/a", nil)}, 0},
		{"another host", []audit.Record{refused("/"), fetched("/", func(r *audit.Record) { r.Host = "b.test" })}, 0},
		{"another crawler", []audit.Record{refused("/"), fetched("/", func(r *audit.Record) { r.Claim = "adsbot-google" })}, 0},
		{"an impostor", []audit.Record{refused("/"), fetched("/", func(r *audit.Record) { r.Verdict = "impostor" })}, 0},
		{"an error of the server", []audit.Record{refused("/"), fetched("/", func(r *audit.Record) { r.Status = 502 })}, 0},
		{"an error, then the page", []audit.Record{refused("/"), fetched("/", func(r *audit.Record) { r.Status = 502 }), fetched("/", nil)}, 1},
		{"no answer", []audit.Record{refused("/"), fetched("/", func(r *audit.Record) { r.Status = 0 })}, 0},
		{"not found", []audit.Record{refused("/"), fetched("/", func(r *audit.Record) { r.Status = 404 })}, 1},
		{"over HTTP/2", []audit.Record{refused("/"), fetched("/", func(r *audit.Record) { r.Reason = "observed" })}, 0},
		{"only observed", []audit.Record{fetched("/", func(r *audit.Record) { r.Reason = "observed" }), fetched("/", nil)}, 0},
	} {
		w, got := newWaiting(), 0
		for i := range test.records {
			if w.record(&test.records[i]) {
				got++
			}
		}
		if got != test.want {
			t.Errorf("%s: %d come-backs, want %d", test.name, got, test.want)
		}
	}
}

// Memory is bounded: of more URLs than are remembered the one that was refused the longest ago goes.
func TestWaitingIsBounded(t *testing.T) {
	w := newWaiting()
	r := audit.Record{
		Claim:   "googlebot",
		Host:    "a.test",
		Verdict: "genuine",
		Action:  "refuse",
		Reason:  "refused",
		Status:  421,
	}
	refuse := func(i int) {
		r.Path, r.Action, r.Reason, r.Status = fmt.Sprint("/", i), "refuse", "refused", 421
		w.record(&r)
	}
	fetch := func(i int) bool {
		r.Path, r.Action, r.Reason, r.Status = fmt.Sprint("/", i), "serve", "http1", 200
		return w.record(&r)
	}
	for i := range maxWaiting + 5 {
		refuse(i)
		if i == 5 { // it begins a second wait, which the end of the first one's memory must not end
			fetch(i)
			refuse(i)
		}
	}
	if len(w.open) > maxWaiting || len(w.ring) != maxWaiting {
		t.Errorf("%d URLs wait and %d are remembered, want at most %d", len(w.open), len(w.ring), maxWaiting)
	}
	if fetch(0) || fetch(3) {
		t.Error("a URL beyond the bound came back, want it forgotten")
	}
	if !fetch(maxWaiting+4) || !fetch(5) || !fetch(100) {
		t.Error("a URL within the bound did not come back")
	}
}
