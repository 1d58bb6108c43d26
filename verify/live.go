package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How often the lists are asked for, and the bounds on what is accepted. draft-illyes-webbotauth-jafar allows nobody to
// ask more than once an hour.
const (
	refreshAfter = 24 * time.Hour // less a random part of refreshEarly, so that not all of the world asks at once
	refreshEarly = 2 * time.Hour
	refreshLate  = 48 * time.Hour // as long as a server's word that a list is still good is believed
	retryAfter   = time.Hour      // after an error, and a random part more; doubled with each one, up to refreshAfter
	staleAfter   = 72 * time.Hour // without a word from its server, in spite of all attempts
	fetchAtMost  = 30 * time.Second
	listAtMost   = 1 << 20 // bytes
)

// LiveRanges keeps published lists of address ranges up to date. The fields are set before first use and then left alone;
// the methods are safe for concurrent use. It must not be copied after first use.
//
// At any time there are ranges: the newer of the built-in list and the last good copy on disk, and from the first
// success on what was fetched. A list that cannot be fetched or read, or that has less than half of the entries of the
// one it replaces, is rejected, and the one in use stays in use, however old. The ranges decide nothing, so neither
// does their age; but a list whose server has not confirmed it for three days, though it was asked, is called stale.
type LiveRanges struct {
	// URLs are the lists, https each; their last path elements, after which the copies on disk are named, must differ.
	// Nil: all that Google publishes, see Lists. Redirects are followed, 5 at most, over https, to the same host or,
	// from a host of google.com, to another one of google.com.
	URLs []string

	// Dir is the directory in which the last good copy of each list is kept, and when it was last asked for, so that a
	// program that is restarted often does not ask more than once an hour either; it must exist. Empty: none are kept.
	Dir string

	// Transport makes the requests. Nil: a copy of http.DefaultTransport, closed when Run returns.
	Transport http.RoundTripper

	// OnRanges is called after each attempt to load or fetch a list and when one becomes stale, in the goroutine of Load or
	// Run, one call at a time. Nil: nobody is told.
	OnRanges func(RangesEvent)

	once    sync.Once
	busy    sync.Mutex
	lists   []*rangeList // what they hold, under busy
	current atomic.Pointer[published]
}

// published is what the lists hold at a time. It is immutable.
type published struct {
	crawlers *Ranges            // of all lists but those of user-triggered fetchers
	classes  map[string]*Ranges // of Google's lists
	lists    []RangeList
	stale    []time.Time // when each of lists becomes stale; zero: it will not
}

// RangeList is a list as it stands.
type RangeList struct {
	URL      string
	Prefixes int       // in use
	Created  time.Time // as the list in use says itself; zero if there is none, or it does not say
	Fetched  time.Time // when its server last confirmed it; zero: never
	Stale    bool      // its server has not confirmed it for three days, in spite of all attempts
}

// RangesEvent says what became of a list.
type RangesEvent struct {
	URL      string
	Changed  bool          // another list is in use from now on
	Prefixes int           // of the list in use
	Ignored  int           // entries of the list in use that are of no use
	Created  time.Time     // of the list in use, as it says itself; zero if there is none
	Fetched  time.Time     // when its server last confirmed the list in use; zero: never
	Stale    bool          // its server has not confirmed it for three days, in spite of all attempts
	Err      error         // why the list in use stays in use, or why there is no copy of it on disk; nil: all is well
	Next     time.Duration // until the list is asked for again; 0 from Load
}

// rangeList is one list.
type rangeList struct {
	url      string
	ranges   *Ranges   // nil: none yet
	text     []byte    // that ranges was read from; nil if it is built in
	etag     string    // of text, as its server gave it; "": none
	modified string    // Last-Modified, likewise
	fetched  time.Time // when its server last confirmed it, by the wall clock; zero: never
	tried    time.Time // when it was last asked for, likewise
	waiting  time.Time // since when it has been asked for in vain, likewise; zero: it was not asked for yet, or with success
	waited   time.Duration
	from     time.Time     // that waited ends at, with a reading of the monotonic clock
	wish     time.Duration // of the server, until it is asked again; 0: none
	failed   int           // times in a row
	err      error         // of the last attempt
	stale    bool          // that it is stale has been told
	next     time.Time
}

func (l *LiveRanges) start() {
	l.once.Do(func() {
		urls := l.URLs
		if urls == nil {
			urls = allLists()
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

// Ranges returns the ranges of all lists together but those of user-triggered fetchers: it is what Verifier.Published
// wants. Whoever rents a machine of Google's can have user-triggered fetchers ask for a page, so their addresses are
// strangers'. It is never nil and costs next to nothing.
func (l *LiveRanges) Ranges() *Ranges {
	l.start()
	return l.current.Load().crawlers
}

// Class returns the ranges that Google publishes for a class, as far as its lists are among URLs. It may be nil.
func (l *LiveRanges) Class(class string) *Ranges {
	l.start()
	return l.current.Load().classes[class]
}

// Lists returns the lists as they stand, in the order of URLs.
func (l *LiveRanges) Lists() []RangeList {
	l.start()
	p := l.current.Load()
	lists := slices.Clone(p.lists)
	for i, at := range p.stale {
		lists[i].Stale = !at.IsZero() && time.Until(at) <= 0
	}
	return lists
}

// Fetched returns when the servers last confirmed all lists in use, the zero time if one of them never was.
func (l *LiveRanges) Fetched() time.Time {
	var first time.Time
	for i, list := range l.Lists() {
		if i == 0 || list.Fetched.Before(first) {
			first = list.Fetched
		}
	}
	return first
}

// publish shows what the lists hold to everyone. The caller holds busy, or is the first.
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

// staleAt is when a list that is asked for in vain becomes stale, with a reading of the monotonic clock; zero: not as
// things are.
func (list *rangeList) staleAt() time.Time {
	if list.failed == 0 {
		return time.Time{}
	}
	return list.from.Add(staleAfter - list.waited)
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
		l.publish()
		if changed || err != nil {
			l.tell(list, changed, err, 0)
		}
	}
}

// Run fetches the lists until ctx ends: those at once that were not confirmed for a day, all of them about daily (later
// where the server says that a list is good for longer), and after an error an hour later, then two, up to a day; never
// one twice within an hour. The error says what is wrong with URLs; otherwise it is nil. Only one Run may run at a
// time.
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
		first, at := l.first()
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
			l.age(first)
		} else {
			l.refresh(ctx, client, first)
		}
	}
}

// schedule says when a list is asked for first, after what its copy says. A clock that was wrong then, or is now, makes
// that no later than a day from now, and no sooner than an hour after the last time.
func (list *rangeList) schedule(now time.Time) {
	list.next, list.from = now, now
	if age := now.Sub(list.fetched); age >= 0 && age < refreshAfter {
		list.next = now.Add(pause(0) - age)
	}
	if !list.tried.IsZero() {
		if ago := max(now.Sub(list.tried), 0); ago < retryAfter && list.next.Before(now.Add(retryAfter-ago)) {
			list.next = now.Add(retryAfter - ago)
		}
	}
	if !list.waiting.IsZero() {
		list.waited = max(now.Sub(list.waiting), 0)
	}
}

// first returns the list for which something is to be done first, and when: asking for it, at its next, or before that
// telling that it has become stale.
func (l *LiveRanges) first() (first *rangeList, at time.Time) {
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

// age tells that a list has become stale.
func (l *LiveRanges) age(list *rangeList) {
	l.busy.Lock()
	defer l.busy.Unlock()
	list.stale = true
	l.publish()
	l.tell(list, false, list.err, time.Until(list.next))
}

// refresh asks for a list once.
func (l *LiveRanges) refresh(ctx context.Context, client *http.Client, list *rangeList) {
	l.busy.Lock()
	defer l.busy.Unlock()
	bounded, cancel := context.WithTimeout(ctx, fetchAtMost)
	defer cancel()
	now := time.Now()
	list.tried, list.wish = now, 0
	if l.Dir != "" {
		_ = list.save(l.Dir) // before it is asked, whatever ends this program; trouble is told below
	}
	changed, err := list.fetch(bounded, client)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		err = fmt.Errorf("ranges %q: %w", list.url, err)
		list.failed++
		if list.waiting.IsZero() { // as long as it was good for is no time in vain
			list.waiting, list.waited, list.from = now, 0, now
			if age := now.Sub(list.fetched); !list.fetched.IsZero() && age > 0 {
				list.waiting, list.waited = list.fetched, age
			}
		}
	} else {
		list.failed, list.waiting, list.waited = 0, time.Time{}, 0
	}
	list.err = err
	list.stale = list.failed > 0 && time.Until(list.staleAt()) <= 0
	wait := max(pause(list.failed), min(list.wish, refreshLate))
	list.next = time.Now().Add(wait)
	l.publish()
	if l.Dir != "" {
		if kept := list.save(l.Dir); err == nil {
			err = kept
		}
	}
	l.tell(list, changed, err, wait)
}

func (l *LiveRanges) tell(list *rangeList, changed bool, err error, next time.Duration) {
	if l.OnRanges == nil {
		return
	}
	l.OnRanges(RangesEvent{
		URL: list.url, Changed: changed, Stale: list.stale, Err: err, Next: next,
		Prefixes: list.ranges.Len(), Ignored: list.ranges.Ignored(), Created: list.ranges.Created(), Fetched: list.fetched,
	})
}

// pause is how long to wait after so many failures in a row. Up to a twelfth of it is left to chance.
func pause(failed int) time.Duration {
	if failed == 0 {
		return refreshAfter - rand.N(refreshEarly)
	}
	wait := min(retryAfter<<min(failed-1, 10), refreshAfter)
	return wait + rand.N(wait/12)
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
