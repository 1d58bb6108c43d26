package certs

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Pauses grow, and an authority may ask for a longer one.
func TestNextAttempt(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		hosts, err := newNames([]string{"a.example"})
		if err != nil {
			t.Fatal(err)
		}
		m, err := newManaged(Config{Source: SourceACME, Folder: folder}, hosts, &notifier{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.close()
		other, badNonce := failure{err: errors.New("x")}, failure{err: acmeProblem("badNonce", "")}
		limited := failure{err: acmeProblem("rateLimited", "too many failed authorizations (5) for \"a.example\" "+
			"in the last 1h0m0s, retry after 2099-01-02 03:04:05 UTC: see https://…")}
		untilLimit := time.Until(time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC))
		for _, test := range []struct {
			name     string
			failed   int
			failures []failure
			want     time.Duration
		}{
			{"the first", 0, []failure{other}, time.Minute},
			{"the third", 2, []failure{other}, 15 * time.Minute},
			{"the hundredth", 99, []failure{other}, 6 * time.Hour},
			{"a bad nonce", 0, []failure{badNonce}, time.Second},
			{"a bad nonce of one of two", 0, []failure{badNonce, other}, time.Minute},
			{"stored, but broken", 0, []failure{{err: errUnusable}}, time.Second},
			{"ordered, but not to be found", 0, []failure{{err: errUnusable, asked: true}}, time.Minute},
			{"bad nonces without end", 10, []failure{badNonce}, 6 * time.Hour},
			{"a rate limit", 0, []failure{limited}, untilLimit},
			{"a rate limit of the first of two", 0, []failure{limited, other}, time.Minute},
			{"a rate limit of the second of two", 0, []failure{other, limited}, time.Minute},
		} {
			if got := time.Until(m.nextAttempt("a.example", test.failed, test.failures)); got != test.want {
				t.Errorf("%s: got a pause of %v, want %v", test.name, got, test.want)
			}
		}
	})
}

// Let's Encrypt allows five failed validations of a name in an hour.
func TestAttemptsInTheFirstHour(t *testing.T) {
	t.Parallel()
	attempts, elapsed := 1, time.Duration(0)
	for _, pause := range retryPauses() {
		if elapsed += pause; elapsed < time.Hour {
			attempts++
		}
	}
	if attempts > 5 {
		t.Errorf("got %d attempts in the first hour, want at most 5", attempts)
	}
}
