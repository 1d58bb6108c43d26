package certs

import (
	"errors"
	"testing"
	"time"
)

// Pauses grow, and an authority may ask for a longer one.
func TestNextAttempt(t *testing.T) {
	t.Parallel()
	m := &managed{cache: mustOpenACME(t).cache}
	limited := acmeProblem("rateLimited", "too many failed authorizations (5) for \"a.example\" "+
		"in the last 1h0m0s, retry after 2099-01-02 03:04:05 UTC: see https://…")
	for _, test := range []struct {
		name     string
		failures int
		attempts []failure
		want     time.Duration
	}{
		{"the first", 0, []failure{{err: errors.New("x")}}, time.Minute},
		{"the third", 2, []failure{{err: errors.New("x")}}, 15 * time.Minute},
		{"the hundredth", 99, []failure{{err: errors.New("x")}}, 6 * time.Hour},
		{"a hiccup", 0, []failure{{err: acmeProblem("badNonce", "")}}, time.Second},
		{"a hiccup of one of two", 0, []failure{{err: acmeProblem("badNonce", "")}, {err: errors.New("x")}},
			time.Minute},
		{"stored, but broken", 0, []failure{{err: errUnusable}}, time.Second},
		{"ordered, but not to be found", 0, []failure{{err: errUnusable, asked: true}}, time.Minute},
		{"hiccups without end", 10, []failure{{err: acmeProblem("badNonce", "")}}, 6 * time.Hour},
		{"counted", 0, []failure{{err: limited}}, time.Until(time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC))},
		{"counted by one of two", 0, []failure{{err: limited}, {err: errors.New("x")}}, time.Minute},
		{"counted by the second of two", 0, []failure{{err: errors.New("x")}, {err: limited}}, time.Minute},
	} {
		if got := time.Until(m.nextAttempt("a.example", test.failures,
			test.attempts)); (got - test.want).Abs() > 2*time.Second {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	// Let's Encrypt lets five validations of a name fail in an hour.
	var elapsed time.Duration
	within := 1
	for _, pause := range retryPauses() {
		if elapsed += pause; elapsed < time.Hour {
			within++
		}
	}
	if within > 5 {
		t.Errorf("got %d attempts in the first hour, want at most 5", within)
	}
}

func mustOpenACME(t *testing.T) *acmeSource {
	c, _ := acmeConfig(t, newFakeCA(t), "shop.example")
	return mustOpen(t, c).acme
}
