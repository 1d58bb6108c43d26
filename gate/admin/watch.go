package admin

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"gate421/gate/audit"
	"gate421/gate/policy"
)

// OnRecord counts a record and remembers what the page shows of it. It neither keeps nor changes the record, never
// waits for anything slow and, once a site has been seen, allocates nothing.
func (a *Admin) OnRecord(r *audit.Record) {
	site := a.tally(r.Site)
	site.decisions[a.tallies.outcome(r.Action, r.Reason)].Add(1)
	if r.Verdict != "" {
		verdict, source := a.tallies.verdict(r.Verdict, r.VerdictSource)
		a.tallies.verdicts[verdict][source].Add(1)
		if r.Verdict == verdictGenuine && r.Reason == string(policy.HTTP1) {
			site.http1.Add(1)
		}
		if a.waiting.record(r) {
			site.comeBacks.Add(1)
		}
	}
	site.origin.count(r)
	if r.Claim != "" {
		a.claims.add(r, a.config.Privacy(), a.config.Now())
	} else {
		a.others.add(r, a.config.Privacy(), a.config.Now())
	}
}

// outcome is an action and a reason that go together, and what they mean to the owner.
type outcome struct {
	action policy.Action
	reason policy.Reason
	words  string
}

// outcomes are all decisions there are, those the owner looks for first first.
func outcomes() []outcome {
	return []outcome{
		{
			policy.Refuse421,
			policy.Refused,
			"A verified crawler came over HTTP/2 and was answered 421, so that it comes back over HTTP/1.1. This is what the state refuse is for.",
		},
		{
			policy.Serve,
			policy.HTTP1,
			"The request came over HTTP/1.x, which is never refused. Crawlers that were sent away come back here.",
		},
		{
			policy.Serve,
			policy.NoClaim,
			"HTTP/2 from a client whose User-Agent does not claim to be a crawler: people with browsers, and crawlers that the configuration does not name.",
		},
		{policy.Serve, policy.Allowed, "A crawler may use HTTP/2 here, because the rule for the path says allow."},
		{
			policy.Serve,
			policy.Observed,
			"A verified crawler came over HTTP/2. The rule says observe, so it was served; with refuse it would have been refused.",
		},
		{
			policy.Serve,
			policy.Impostor,
			"The User-Agent claims to be a crawler and the DNS says that it is not. Impostors are served like everyone else and never refused.",
		},
		{
			policy.Serve,
			policy.Unverified,
			"Whether the client is the crawler it claims to be could not be proved in time. Who is not verified is not refused.",
		},
		{
			policy.Serve,
			policy.Guard,
			"Would have been refused, but the guard has tripped: the crawler was sent away many times and has not come back.",
		},
		{
			policy.Serve,
			policy.LogUnavailable,
			"Would have been refused, but the decision log could not take the line, and nobody is refused without one.",
		},
		{
			policy.Reject,
			policy.UnknownHost,
			"The request was for a host that no site has: 421 over HTTP/2, 404 over HTTP/1.x.",
		},
		{
			policy.Reject,
			policy.Misdirected,
			"An HTTP/2 connection made for one site was used for another that its certificate does not cover. Clients repeat such a request on a connection of its own.",
		},
	}
}

// The words of a record's verdict and its source. What is none of them is counted as unknown and as other: strangers do
// not choose these, but a series must not come from a mistake either.
const (
	verdictGenuine  = "genuine"
	verdictImpostor = "impostor"
	verdictUnknown  = "unknown"
	other           = "other"
)

func verdictWords() [3]string       { return [...]string{verdictUnknown, verdictImpostor, verdictGenuine} }
func verdictSourceWords() [5]string { return [...]string{other, "", "cache", "dns", "stale"} }

// maxOutcomes is the length of outcomes and one more for a decision that is not among them.
const maxOutcomes = 12

// tally counts one site since the start.
type tally struct {
	decisions [maxOutcomes]atomic.Uint64 // by index in outcomes; the last: none of them
	http1     atomic.Uint64              // requests of verified crawlers over HTTP/1.x
	comeBacks atomic.Uint64              // refused URLs that were then fetched over HTTP/1.x
	origin    originTally
}

// tallies holds all counts. A site's tally is found in an immutable map, which is replaced when a site is added; sites
// are never removed, because a counter must not fall.
type tallies struct {
	outcomes []outcome
	index    map[policy.Reason]int
	verdicts [3][5]atomic.Uint64
	nowhere  tally // of records without a site

	mu    sync.Mutex // held while sites is replaced
	sites atomic.Pointer[map[string]*tally]
}

func (t *tallies) start() {
	t.outcomes, t.index = outcomes(), map[policy.Reason]int{}
	for i, o := range t.outcomes {
		t.index[o.reason] = i
	}
	t.sites.Store(&map[string]*tally{})
}

func (t *tallies) outcome(action, reason string) int {
	if i, known := t.index[policy.Reason(reason)]; known && t.outcomes[i].action.String() == action {
		return i
	}
	return maxOutcomes - 1
}

func (t *tallies) verdict(verdict, source string) (int, int) {
	v, s := 0, 0
	for i, word := range verdictWords() {
		if word == verdict {
			v = i
		}
	}
	for i, word := range verdictSourceWords() {
		if word == source {
			s = i
		}
	}
	return v, s
}

// tally finds the counts of a site. A name that is not of a live site and has not been before counts as no site.
func (a *Admin) tally(site string) *tally {
	if t := (*a.tallies.sites.Load())[site]; t != nil {
		return t
	}
	if site == "" {
		return &a.tallies.nowhere
	}
	if live := a.config.Policy().Site(site); live == nil || live.Name != site {
		return &a.tallies.nowhere
	}
	return a.tallies.admit(site)[site]
}

// admit makes sure that sites have a tally each and returns all there are.
func (t *tallies) admit(sites ...string) map[string]*tally {
	missing := func(known map[string]*tally) bool {
		return slices.ContainsFunc(sites, func(site string) bool { return known[site] == nil })
	}
	if known := *t.sites.Load(); !missing(known) {
		return known
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := maps.Clone(*t.sites.Load())
	for _, site := range sites {
		if grown[site] == nil {
			grown[site] = &tally{}
		}
	}
	t.sites.Store(&grown)
	return grown
}

// counted is every tally by site name, those of live sites among them even if they have seen nothing yet; "" is no
// site.
func (a *Admin) counted() map[string]*tally {
	var live []string
	for _, site := range a.config.Policy().Sites() {
		live = append(live, site.Name)
	}
	all := maps.Clone(a.tallies.admit(live...))
	all[""] = &a.tallies.nowhere
	return all
}
