package verify

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPublishedRanges(t *testing.T) {
	r, err := PublishedRanges()
	if err != nil {
		t.Fatal(err)
	}
	if r.Len() < 100 || r.Created().Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) || r.Created().Location() != time.UTC {
		t.Errorf("%d ranges created %v", r.Len(), r.Created())
	}
	cases := map[string]string{
		"66.249.66.1":              "66.249.66.0/27",
		"::ffff:66.249.66.1":       "66.249.66.0/27",
		"2001:4860:4801:10::1":     "2001:4860:4801:10::/64",
		"2001:4860:4801:10::1%lo":  "2001:4860:4801:10::/64",
		"2001:4860:4801:10:ffff::": "2001:4860:4801:10::/64",
		"95.216.227.158":           "",
		"91.208.197.96":            "",
		"127.0.0.1":                "",
		"::1":                      "",
		"2001:db8::1":              "",
	}
	for addr, want := range cases {
		prefix, ok := r.Find(netip.MustParseAddr(addr))
		if ok != (want != "") || ok && prefix.String() != want {
			t.Errorf("Find(%s) = %v, %v, want %q", addr, prefix, ok, want)
		}
	}
	if _, ok := r.Find(netip.Addr{}); ok {
		t.Error("the zero address is in a range")
	}
	var none *Ranges
	if _, ok := none.Find(netip.MustParseAddr(googlebotAddr)); ok || none.Len() != 0 || !none.Created().IsZero() {
		t.Error("nil holds something")
	}
}

func TestParseRanges(t *testing.T) {
	const head = `{"creationTime": "2026-01-14T15:45:48.000000", "prefixes": [`
	r, err := ParseRanges([]byte(head + `{"ipv4Prefix": "192.0.2.0/24", "comment": "new"}, {"ipv4Prefix": "192.0.2.32/27"}, {"ipv6Prefix": "2001:db8::/64"}], "more": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Created(), time.Date(2026, 1, 14, 15, 45, 48, 0, time.UTC); !got.Equal(want) {
		t.Errorf("created %v, want %v", got, want)
	}
	for addr, want := range map[string]string{"192.0.2.33": "192.0.2.32/27", "192.0.2.1": "192.0.2.0/24", "2001:db8::5": "2001:db8::/64"} {
		if got, _ := r.Find(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("Find(%s) = %s, want %s", addr, got, want)
		}
	}
	reject := map[string]string{
		``:                 "ranges: ",
		`<html>`:           "ranges: ",
		`[]`:               "ranges: ",
		`{"prefixes": []}`: `creationTime ""`,
		head + `]}`:        "no entries",
		head + `{}]}`:      "entry 0",
		head + `{"ipv4Prefix": "2001:db8::/64"}]}`:          `"2001:db8::/64"`,
		head + `{"ipv6Prefix": "192.0.2.0/24"}]}`:           `"192.0.2.0/24"`,
		head + `{"ipv6Prefix": "::ffff:192.0.2.0/120"}]}`:   `"::ffff:192.0.2.0/120"`,
		head + `{"ipv4Prefix": "192.0.2.1/24"}]}`:           `"192.0.2.1/24"`,
		head + `{"ipv4Prefix": "192.0.2.1"}]}`:              `"192.0.2.1"`,
		head + `{"ipv4Prefix": "x"}, {"ipv4Prefix": "y"}]}`: `"y"`,
	}
	for text, want := range reject {
		if _, err := ParseRanges([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRanges(%s): error %v does not say %s", text, err, want)
		}
	}
}
