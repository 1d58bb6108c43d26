package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"gate421/gate/files"
)

// How often the lists are requested, and bounds on what is accepted. draft-illyes-webbotauth-jafar forbids more than
// one request an hour.
const (
	refreshAfter = 24 * time.Hour // less a random part of refreshEarly, so that not everyone asks at once
	refreshEarly = 2 * time.Hour
	refreshLate  = 48 * time.Hour // the longest freshness that is taken from a server
	retryAfter   = time.Hour      // after a failure, and a random part more; doubled with each one, up to refreshAfter
	staleAfter   = 72 * time.Hour // unconfirmed by its server, in spite of all requests
	fetchTimeout = 30 * time.Second
	maxListSize  = 1 << 20 // bytes
)

// rangeList is the state of one list.
type rangeList struct {
	url          string
	ranges       *Ranges       // nil: none yet
	text         []byte        // of ranges; nil if it is built in
	etag         string        // of text, as its server sent it; "": none
	modified     string        // Last-Modified, likewise
	fetched      time.Time     // when its server last confirmed it, by the wall clock; zero: never
	tried        time.Time     // when it was last requested, likewise
	failingSince time.Time     // since when requests fail, likewise; zero: none was made, or the last succeeded
	failedFor    time.Duration // how long requests had failed at countedAt
	countedAt    time.Time     // of failedFor, with a reading of the monotonic clock
	serverDelay  time.Duration // how long the server asks not to be asked again; 0: it does not say
	failures     int           // in a row
	err          error         // of the last request
	stale        bool          // and OnRanges was called for that
	next         time.Time     // of the next request
}

// staleAt is when a list whose requests fail becomes stale, with a reading of the monotonic clock; zero: they do not
// fail.
func (r *rangeList) staleAt() time.Time {
	if r.failures == 0 {
		return time.Time{}
	}
	return r.countedAt.Add(staleAfter - r.failedFor)
}

// schedule sets when the list is requested first, by what its copy says. Even if the clock was wrong then, or is now,
// that is at most a day from now and at least an hour after the last request.
func (r *rangeList) schedule(now time.Time) {
	r.next, r.countedAt = now, now
	if age := now.Sub(r.fetched); age >= 0 && age < refreshAfter {
		r.next = now.Add(nextDelay(0) - age)
	}
	if !r.tried.IsZero() {
		if ago := max(now.Sub(r.tried), 0); ago < retryAfter && r.next.Before(now.Add(retryAfter-ago)) {
			r.next = now.Add(retryAfter - ago)
		}
	}
	if !r.failingSince.IsZero() {
		r.failedFor = max(now.Sub(r.failingSince), 0)
	}
}

// nextDelay is how long to wait after so many failures in a row. Up to a twelfth of it is random.
func nextDelay(failures int) time.Duration {
	if failures == 0 {
		return refreshAfter - rand.N(refreshEarly)
	}
	wait := min(retryAfter<<min(failures-1, 10), refreshAfter)
	return wait + rand.N(wait/12)
}

// accept parses a list and compares it with the one in use, which must not be more than twice as long.
func (r *rangeList) accept(text []byte) (*Ranges, error) {
	ranges, err := ParseRanges(text)
	if err != nil {
		return nil, err
	}
	if now, then := ranges.Len(), r.ranges.Len(); 2*now < then {
		return nil, fmt.Errorf("%d prefixes, less than half of the %d in use", now, then)
	}
	return ranges, nil
}

// file returns the name of the copy on disk, or what is wrong with the URL.
func (r *rangeList) file() (string, error) {
	u, err := url.Parse(r.url)
	switch {
	case err != nil:
		return "", fmt.Errorf("ranges %q: not a URL", r.url)
	case u.Scheme != "https" || u.Host == "" || u.User != nil:
		return "", fmt.Errorf("ranges %q: want https://host/path", r.url)
	}
	name := path.Base(u.Path)
	for _, c := range name {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && !strings.ContainsRune("-_.", c) || name[0] == '.' || len(name) > 100 {
			return "", fmt.Errorf("ranges %q: its last path element cannot name a file", r.url)
		}
	}
	return "ranges-" + name, nil
}

// rangeCopy is a copy on disk. Without a list it only says when one was requested.
type rangeCopy struct {
	URL      string          `json:"url"`
	ETag     string          `json:"etag,omitempty"`
	Modified string          `json:"last_modified,omitempty"`
	Fetched  time.Time       `json:"fetched,omitzero"`
	Tried    time.Time       `json:"tried,omitzero"`
	Waiting  time.Time       `json:"waiting_since,omitzero"`
	List     json.RawMessage `json:"list,omitempty"`
}

// load uses the copy on disk if it is newer than the list in use, and reports whether it is another list.
func (r *rangeList) load(dir string) (changed bool, err error) {
	name, err := r.file()
	if err != nil {
		return false, err
	}
	file, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	wrong := func(err error) (bool, error) { return false, fmt.Errorf("%s: %w", file.Name(), err) }
	text, err := io.ReadAll(io.LimitReader(file, 2*maxListSize))
	if err != nil {
		return wrong(err)
	}
	var kept rangeCopy
	if err := json.Unmarshal(text, &kept); err != nil {
		return wrong(err)
	}
	if kept.URL != r.url {
		return wrong(fmt.Errorf("the copy of %q", kept.URL))
	}
	r.tried, r.failingSince = kept.Tried, kept.Waiting
	if kept.List == nil {
		return false, nil
	}
	ranges, err := r.accept(kept.List)
	if err != nil {
		return wrong(err)
	}
	made := ranges.Created()
	if made.IsZero() { // it does not say
		made = kept.Fetched
	}
	if made.Before(r.ranges.Created()) {
		return false, nil // this program is newer than the copy
	}
	if kept.Fetched.After(time.Now()) {
		kept.Fetched = time.Time{}
	}
	changed = !ranges.equal(r.ranges)
	r.ranges, r.text, r.fetched = ranges, kept.List, kept.Fetched
	r.etag, r.modified = validTag(kept.ETag), validDate(kept.Modified)
	return changed, nil
}

// save replaces the copy on disk. Readers at the same time, or after a crash, find the whole old one or the whole new
// one.
func (r *rangeList) save(dir string) error {
	name, err := r.file()
	if err != nil {
		return err
	}
	text, err := json.Marshal(rangeCopy{
		URL: r.url, ETag: r.etag, Modified: r.modified, List: r.text,
		Fetched: r.fetched.UTC(), Tried: r.tried.UTC(), Waiting: r.failingSince.UTC(),
	})
	if err != nil {
		return err
	}
	return files.ReplaceBytes(filepath.Join(dir, name), 0o644, append(text, '\n'))
}
