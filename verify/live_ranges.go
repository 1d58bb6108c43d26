package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// LiveRanges keeps published lists of address ranges up to date. The fields must not change after first use; the
// methods are safe for concurrent use. It must not be copied after first use.
//
// There are always ranges: the newer of the built-in list and the last good copy on disk, and after the first success
// what was fetched. A list that cannot be fetched or parsed, or that has less than half of the entries of the one it
// would replace, is rejected, and the one in use stays in use, however old. No verdict rests on the ranges, so none on
// their age; but a list whose server has not confirmed it for three days, in spite of requests, is called stale.
type LiveRanges struct {
	// URLs are the lists, https each; their last path elements, which name the copies on disk, must differ. Nil: all
	// that Google publishes, see RangeURLs. Redirects are followed, 5 at most, over https, to the same host or, from a
	// host of google.com, to another one of google.com.
	URLs []string

	// Dir is the directory for the last good copy of each list and the time of the last request, so that a program that
	// is restarted often does not make more than one an hour either; it must exist. Empty: no copies.
	Dir string

	// Transport makes the requests. Nil: a copy of http.DefaultTransport, closed when Run returns.
	Transport http.RoundTripper

	// OnRanges is called after each attempt to load or fetch a list and when one becomes stale, in the goroutine of
	// Load or Run, one call at a time. Nil: no calls.
	OnRanges func(RangesEvent)

	once    sync.Once
	mu      sync.Mutex
	lists   []*rangeList // what they point to is under mu
	current atomic.Pointer[published]
}

// published is the state of the lists that readers see. It is immutable.
type published struct {
	crawlers *Ranges            // of all lists except those of user-triggered fetchers
	classes  map[string]*Ranges // of Google's lists
	lists    []RangeList
	stale    []time.Time // when each of lists becomes stale; zero: its requests do not fail
}

// RangeList is the state of a list.
type RangeList struct {
	URL      string
	Prefixes int       // in use
	Created  time.Time // as the list in use says; zero if there is none, or it does not say
	Fetched  time.Time // when its server last confirmed it; zero: never
	Stale    bool      // its server has not confirmed it for three days, in spite of requests
}

// RangesEvent is the result of loading or fetching a list.
type RangesEvent struct {
	URL      string
	Changed  bool          // a new list is in use from now on
	Prefixes int           // of the list in use
	Ignored  int           // entries of the list in use that are not valid
	Created  time.Time     // of the list in use, as it says; zero if there is none
	Fetched  time.Time     // when its server last confirmed the list in use; zero: never
	Stale    bool          // its server has not confirmed it for three days, in spite of requests
	Err      error         // why no list was taken, or why there is no copy of it on disk; nil: no error
	Next     time.Duration // until the next request; 0 from Load
}

func (l *LiveRanges) start() {
	l.once.Do(func() {
		urls := l.URLs
		if urls == nil {
			urls = allRangeURLs()
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

// Ranges returns the ranges of all lists except those of user-triggered fetchers, for Verifier.Published. Anyone can
// have a user-triggered fetcher request a page, so their addresses deserve no budget of their own. It is never nil, and
// cheap.
func (l *LiveRanges) Ranges() *Ranges {
	l.start()
	return l.current.Load().crawlers
}

// Class returns the ranges that Google publishes for a class, if its lists are among URLs. It may be nil.
func (l *LiveRanges) Class(class string) *Ranges {
	l.start()
	return l.current.Load().classes[class]
}

// Lists returns the state of the lists, in the order of URLs.
func (l *LiveRanges) Lists() []RangeList {
	l.start()
	p := l.current.Load()
	lists := slices.Clone(p.lists)
	for i, at := range p.stale {
		lists[i].Stale = !at.IsZero() && time.Until(at) <= 0
	}
	return lists
}

// Fetched returns when the least recently confirmed list was confirmed by its server; the zero time if one never was.
func (l *LiveRanges) Fetched() time.Time {
	var first time.Time
	for i, list := range l.Lists() {
		if i == 0 || list.Fetched.Before(first) {
			first = list.Fetched
		}
	}
	return first
}

// publish makes the state of the lists visible to readers. It is called under mu, or by start.
func (l *LiveRanges) publish() {
	p := &published{classes: map[string]*Ranges{}}
	var crawlers []*Ranges
	classes := map[string][]*Ranges{}
	for _, list := range l.lists {
		class := classOf(list.url)
		if class != ClassUserTriggered {
			crawlers = append(crawlers, list.ranges)
		}
		classes[class] = append(classes[class], list.ranges)
		p.lists = append(p.lists, RangeList{
			URL: list.url, Prefixes: list.ranges.Len(), Created: list.ranges.Created(), Fetched: list.fetched,
		})
		p.stale = append(p.stale, list.staleAt())
	}
	for class, lists := range classes {
		p.classes[class] = mergeRanges(lists)
	}
	p.crawlers = mergeRanges(crawlers)
	if before := l.current.Load(); before != nil && before.crawlers.equal(p.crawlers) {
		p.crawlers = before.crawlers
	}
	l.current.Store(p)
}

// Load reads the copies on disk. A missing copy is no error; one that cannot be used is reported to OnRanges and
// skipped. Run calls it first, so call it only to have the copies before Run.
func (l *LiveRanges) Load() {
	l.start()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Dir == "" {
		return
	}
	for _, list := range l.lists {
		changed, err := list.load(l.Dir)
		l.publish()
		if changed || err != nil {
			l.notify(list, changed, err, 0)
		}
	}
}

// Run fetches the lists until ctx ends: at once those that were not confirmed for a day, then all of them about daily
// (later if the server says that a list is fresh for longer), and after a failure an hour later, then two, up to a day;
// never one twice within an hour. The error says what is wrong with URLs; otherwise it is nil. Only one Run may run at
// a time.
func (l *LiveRanges) Run(ctx context.Context) error {
	l.start()
	if err := l.check(); err != nil {
		return err
	}
	l.Load()
	client, closeIdle := l.client()
	defer closeIdle()
	for _, list := range l.lists {
		list.schedule(time.Now())
	}
	for {
		first, at := l.nextDue()
		timer := time.NewTimer(time.Until(at))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil
		}
		if at.Before(first.next) {
			l.markStale(first)
		} else {
			l.refresh(ctx, client, first)
		}
	}
}

// nextDue returns the list that has to be handled first, and when: to request it, or before that to report that it has
// become stale.
func (l *LiveRanges) nextDue() (first *rangeList, at time.Time) {
	for _, list := range l.lists {
		due := list.next
		if stale := list.staleAt(); !list.stale && !stale.IsZero() && stale.Before(due) {
			due = stale
		}
		if first == nil || due.Before(at) {
			first, at = list, due
		}
	}
	return first, at
}

// markStale reports that a list has become stale.
func (l *LiveRanges) markStale(list *rangeList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list.stale = true
	l.publish()
	l.notify(list, false, list.err, time.Until(list.next))
}

// refresh requests a list once.
func (l *LiveRanges) refresh(ctx context.Context, client *http.Client, list *rangeList) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	now := time.Now()
	list.tried, list.serverDelay = now, 0
	if l.Dir != "" {
		_ = list.save(l.Dir) // the time of the request, even if the program ends now; an error is reported below
	}
	changed, err := list.fetch(bounded, client)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		err = fmt.Errorf("ranges %q: %w", list.url, err)
		list.failures++
		if list.failingSince.IsZero() { // the time that it was fresh does not count
			list.failingSince, list.failedFor, list.countedAt = now, 0, now
			if age := now.Sub(list.fetched); !list.fetched.IsZero() && age > 0 {
				list.failingSince, list.failedFor = list.fetched, age
			}
		}
	} else {
		list.failures, list.failingSince, list.failedFor = 0, time.Time{}, 0
	}
	list.err = err
	list.stale = list.failures > 0 && time.Until(list.staleAt()) <= 0
	wait := max(nextDelay(list.failures), min(list.serverDelay, refreshLate))
	list.next = time.Now().Add(wait)
	l.publish()
	if l.Dir != "" {
		if saved := list.save(l.Dir); err == nil {
			err = saved
		}
	}
	l.notify(list, changed, err, wait)
}

func (l *LiveRanges) notify(list *rangeList, changed bool, err error, next time.Duration) {
	if l.OnRanges == nil {
		return
	}
	l.OnRanges(RangesEvent{
		URL: list.url, Changed: changed, Stale: list.stale, Err: err, Next: next,
		Prefixes: list.ranges.Len(), Ignored: list.ranges.Ignored(),
		Created: list.ranges.Created(), Fetched: list.fetched,
	})
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
			problems = append(problems,
				fmt.Errorf("ranges %q: its copy would have the name of the one of %q", list.url, other))
		}
		files[file] = list.url
	}
	return errors.Join(problems...)
}
