package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// CommonCrawlersURL is where Google publishes the ranges of its common crawlers.
const CommonCrawlersURL = "https://developers.google.com/static/crawling/ipranges/common-crawlers.json"

// How often the lists are asked for, and the bounds on what is accepted.
const (
	refreshAfter = 24 * time.Hour // less a random part of refreshEarly, so that not all of the world asks at once
	refreshEarly = 2 * time.Hour
	retryAfter   = time.Hour // after an error; doubled with each one more, up to refreshAfter
	fetchAtMost  = 30 * time.Second
	listAtMost   = 1 << 20 // bytes
)

// LiveRanges keeps published lists of address ranges up to date. The fields are set before first use and then left alone;
// the methods are safe for concurrent use. It must not be copied after first use.
//
// At any time there are ranges: the newer of the built-in list and the last good copy on disk, and from the first
// success on what was fetched. A list that cannot be fetched or read, that has no entries, or less than half of those
// that it replaces is refused, and the one in use stays in use, however old. The ranges decide nothing, so neither does
// their age.
type LiveRanges struct {
	// URLs are the lists, https each; their last path elements, after which the copies on disk are named, must differ.
	// Nil: CommonCrawlersURL alone. Redirects are followed, 5 at most, over https, to the same host or, from a host of
	// google.com, to another one of google.com.
	URLs []string

	// Dir is the directory in which the last good copy of each list is kept; it must exist. Empty: none are kept.
	Dir string

	// Transport makes the requests. Nil: a copy of http.DefaultTransport, closed when Run returns.
	Transport http.RoundTripper

	// Told is called after each attempt to load or fetch a list, in the goroutine of Load or Run, one call at a time.
	// Nil: nobody is told.
	Told func(RangesEvent)

	once    sync.Once
	busy    sync.Mutex
	lists   []*rangeList // what they hold, under busy
	current atomic.Pointer[Ranges]
	fetched atomic.Pointer[time.Time]
}

// RangesEvent says what became of a list.
type RangesEvent struct {
	URL      string
	Changed  bool          // another list is in use from now on
	Prefixes int           // of the list in use
	Created  time.Time     // of the list in use, as it says itself; zero if there is none
	Fetched  time.Time     // when its server last confirmed the list in use; zero: never
	Err      error         // why the list in use stays in use, or why there is no copy of it on disk; nil: all is well
	Next     time.Duration // until the list is asked for again; 0 from Load
}

// rangeList is one list.
type rangeList struct {
	url     string
	ranges  *Ranges // nil: none yet
	text    []byte  // that ranges was read from; nil if it is built in
	etag    string  // of text, as its server gave it; "": none
	fetched time.Time
	failed  int // times in a row
	next    time.Time
}

func (l *LiveRanges) start() {
	l.once.Do(func() {
		urls := l.URLs
		if urls == nil {
			urls = []string{CommonCrawlersURL}
		}
		for _, url := range urls {
			list := &rangeList{url: url}
			if url == CommonCrawlersURL {
				list.ranges, _ = PublishedRanges() // a test reads it: it cannot be broken in a program that was tested
			}
			l.lists = append(l.lists, list)
		}
		l.publish()
	})
}

// Ranges returns the ranges of all lists together. It is never nil and costs next to nothing: it is what Verifier.Published
// wants.
func (l *LiveRanges) Ranges() *Ranges {
	l.start()
	return l.current.Load()
}

// Fetched returns when the servers last confirmed all lists in use, the zero time if one of them never was.
func (l *LiveRanges) Fetched() time.Time {
	l.start()
	return *l.fetched.Load()
}

func (l *LiveRanges) publish() {
	all := make([]*Ranges, len(l.lists))
	var fetched time.Time
	for i, list := range l.lists {
		all[i] = list.ranges
		if i == 0 || list.fetched.Before(fetched) {
			fetched = list.fetched
		}
	}
	l.current.Store(mergeRanges(all))
	l.fetched.Store(&fetched)
}

// Load reads the copies on disk. A copy that is not there is no error; one that cannot be used is told and otherwise
// passed over. Run calls it first, so it need be called only by who wants the copies before Run.
func (l *LiveRanges) Load() {
	l.start()
	l.busy.Lock()
	defer l.busy.Unlock()
	if l.Dir == "" {
		return
	}
	for _, list := range l.lists {
		changed, err := list.load(l.Dir)
		if changed {
			l.publish()
		}
		if changed || err != nil {
			l.tell(list, changed, err, 0)
		}
	}
}

// Run fetches the lists until ctx ends: those at once that were not confirmed for a day, all of them about daily, and
// after an error an hour later, then two, up to a day. The error says what is wrong with URLs; otherwise it is nil. Only
// one Run may run at a time.
func (l *LiveRanges) Run(ctx context.Context) error {
	l.start()
	if err := l.check(); err != nil {
		return err
	}
	l.Load()
	client, closeIdle := l.client()
	defer closeIdle()
	for _, list := range l.lists {
		if age := time.Since(list.fetched); age >= 0 && age < refreshAfter {
			list.next = time.Now().Add(pause(0) - age)
		}
	}
	for {
		first := l.lists[0]
		for _, list := range l.lists {
			if list.next.Before(first.next) {
				first = list
			}
		}
		timer := time.NewTimer(time.Until(first.next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
		l.refresh(ctx, client, first)
	}
}

// refresh asks for a list once.
func (l *LiveRanges) refresh(ctx context.Context, client *http.Client, list *rangeList) {
	l.busy.Lock()
	defer l.busy.Unlock()
	bounded, cancel := context.WithTimeout(ctx, fetchAtMost)
	defer cancel()
	changed, err := list.fetch(bounded, client)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		list.failed++
		err = fmt.Errorf("ranges %q: %w", list.url, err)
	} else {
		list.failed = 0
		l.publish()
		if l.Dir != "" {
			err = list.save(l.Dir)
		}
	}
	wait := pause(list.failed)
	list.next = time.Now().Add(wait)
	l.tell(list, changed, err, wait)
}

func (l *LiveRanges) tell(list *rangeList, changed bool, err error, next time.Duration) {
	if l.Told == nil {
		return
	}
	l.Told(RangesEvent{
		URL: list.url, Changed: changed, Err: err, Next: next,
		Prefixes: list.ranges.Len(), Created: list.ranges.Created(), Fetched: list.fetched,
	})
}

// pause is how long to wait after so many failures in a row. Up to a twelfth of it is left to chance.
func pause(failed int) time.Duration {
	longest := refreshAfter
	if failed > 0 {
		longest = min(retryAfter<<min(failed-1, 10), refreshAfter)
	}
	return longest - rand.N(longest*refreshEarly/refreshAfter)
}

// check reports everything that is wrong with the URLs.
func (l *LiveRanges) check() error {
	var problems []error
	if len(l.lists) == 0 {
		problems = append(problems, errors.New("ranges: no lists"))
	}
	files := map[string]string{}
	for _, list := range l.lists {
		file, err := list.file()
		if err != nil {
			problems = append(problems, err)
		} else if other, taken := files[file]; taken {
			problems = append(problems, fmt.Errorf("ranges %q: its copy would have the name of the one of %q", list.url, other))
		}
		files[file] = list.url
	}
	return errors.Join(problems...)
}
