package admin

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"gate421/gate/guard"
	"gate421/gate/policy"
	"gate421/gate/visible"
)

const (
	refreshSeconds = "5"
	shownAtOnce    = 25 // records; older ones are a click away
)

// view is all that the page says, in the page's order. Numbers and times are words already.
type view struct {
	Product string
	Version string
	Now     string
	Since   string
	Up      string
	Refresh string // seconds between reloads, "" for none

	Alarms   []alarm
	Tripped  []trippedView
	Figures  []figure
	Sites    []siteView
	Claims   []recordView
	Older    []recordView
	Others   []recordView
	Outcomes []outcomeView

	Verification     verificationView
	ShowCertificates bool
	Certificates     []certificateView
	LogReady         bool
	LogQueue         string // lines on their way to the file, "" where nobody knows
	LogLost          string // lines dropped since the start, "" for none
	LogLeftOut       string // lines left out since the start, "" for none
}

// verificationView is whether the DNS can verify anybody. Without a Tag it is not shown.
type verificationView struct{ Kind, Tag, Text string }

// alarm is a banner. Kind is "bad" or "warn".
type alarm struct{ Kind, Title, Text string }

// trippedView is the banner of a tripped guard.
type trippedView struct {
	Site, Crawler, Refusals, Since, CameBack, Resume, Explain string
}

// guardView is what the guard has counted of a crawler, or of all of them: "".
type guardView struct{ Crawler, Words string }

type figure struct{ Label, Value, Words string }

type siteView struct {
	Name       string
	Hosts      []string // without the name
	State      string
	StateWords string
	Tripped    bool
	Origins    []originView
	Guard      []guardView
	Mixed      bool
	Rules      []policy.Rule
	Figures    []figure
}

// originView is one of a site's own servers. Kind is "bad" while it is left out.
type originView struct{ Address, Words, Kind string }

type outcomeView struct{ Action, Reason, Count, Words string }

type certificateView struct {
	Hosts []string
	Until string
	Left  string
	Kind  string // "", "warn" or "bad"
}

func (a *Admin) view(refresh bool) view {
	now := a.config.Now().UTC()
	v := view{
		Product: a.config.Product, Version: a.config.Version(),
		Now: day(now), Since: day(a.started), Up: span(now.Sub(a.started)),
		ShowCertificates: a.config.Certificates != nil,
		LogReady:         a.config.LogReady(),
	}
	if refresh {
		v.Refresh = refreshSeconds
	}
	if a.config.Log != nil {
		stats := a.config.Log()
		v.LogQueue = plural(int64(stats.QueueLines), "line")
		if stats.LostLines > 0 {
			v.LogLost = plural(int64(stats.LostLines), "line")
		}
		if stats.LeftOutLines > 0 {
			v.LogLeftOut = plural(int64(stats.LeftOutLines), "line")
		}
	}
	if a.config.Verification != nil {
		verification := a.config.Verification()
		v.Verification.Kind, v.Verification.Tag, v.Verification.Text = verification.words(now)
	}
	if v.ShowCertificates {
		v.Certificates = a.certificateViews(now)
	}
	v.Sites, v.Tripped = a.siteViews(now)
	v.Alarms = a.alarms(&v)
	v.Figures, v.Outcomes = a.totals()
	v.Claims = recordViews(a.claims.list(), a.config.Privacy(), now)
	if len(v.Claims) > shownAtOnce {
		v.Claims, v.Older = v.Claims[:shownAtOnce], v.Claims[shownAtOnce:]
	}
	v.Others = recordViews(a.others.list(), a.config.Privacy(), now)
	return v
}

// alarms are the banners besides those of the guard.
func (a *Admin) alarms(v *view) []alarm {
	var out []alarm
	if why := a.unwell(); why != "" {
		out = append(out,
			alarm{"bad", "The gateway is " + why, "The health address answers 503 for as long as this lasts."})
	}
	if !v.LogReady {
		out = append(out, alarm{"warn", "The decision log takes no lines",
			"Nobody is refused without a line in the log, so every crawler is served over HTTP/2 until the log takes lines again. " +
				"Look at its disk: full, gone, or no longer writable?"})
	}
	out = append(out, a.staleRanges(a.config.Now())...)
	if r, ok := a.rejected(); ok {
		out = append(out, r.alarm(a.config.Now()))
	}
	if a.config.Origins != nil {
		out = append(out, originAlarms(a.config.Origins(), a.config.Now())...)
	}
	if failed, failing := a.failing(); failing {
		out = append(out, alarm{"warn", "Nobody can be verified",
			"Since " + day(failed.Since) + " the DNS does not prove that an address of Googlebot's is Googlebot's: " +
				visible.Text(failed.Why) + ". Until it does, everyone is served and nobody is refused. Let verify.resolver " +
				"name a DNS server that answers reverse lookups; gate421 check --live tries it."})
	}
	if a.config.Enforced != nil {
		for _, limit := range a.config.Enforced() {
			out = append(out, alarm{"warn", limit.Title, limit.Text})
		}
	}
	for _, c := range v.Certificates {
		if c.Kind == "bad" && c.Until != "" {
			out = append(out, alarm{"bad", "The certificate of " + c.Hosts[0] + " has ended",
				"It " + c.Left + ". Browsers warn of it or turn away, and crawlers count it as a network error."})
		}
	}
	return out
}

// originAlarms are the banners for servers that do not answer, at most a few.
func originAlarms(servers []Origin, now time.Time) (out []alarm) {
	const most = 5
	left := 0
	for _, o := range servers {
		switch {
		case o.DownSince.IsZero():
		case len(out) == most:
			left++
		default:
			text := "It has answered no request since " + moment(o.DownSince, now) +
				". The latest failure: " + visible.Text(o.Error) + "."
			if o.Cure != "" {
				text += " " + strings.ToUpper(o.Cure[:1]) + o.Cure[1:] + "."
			}
			out = append(
				out,
				alarm{
					"bad",
					"The origin " + visible.Text(o.Address) + " of " + o.Site + " does not answer",
					strings.ReplaceAll(text, "?.", "?"),
				},
			)
		}
	}
	if left > 0 {
		out = append(
			out,
			alarm{
				"bad",
				"And " + plural(int64(left), "more origin"),
				"They do not answer, either; they are marked below.",
			},
		)
	}
	return out
}

// guarded is the guard's statuses by site name.
func (a *Admin) guarded() map[string][]guard.Status {
	out := map[string][]guard.Status{}
	for _, s := range a.config.Guard() {
		out[s.Site] = append(out[s.Site], s)
	}
	return out
}

func (a *Admin) siteViews(now time.Time) (sites []siteView, tripped []trippedView) {
	counted, guarded, origins := a.counted(), a.guarded(), a.originViews(now)
	for _, site := range a.config.Policy().Sites() {
		s := siteView{
			Origins: origins[site.Name],
			Name:    site.Name, Hosts: site.Hosts[1:], State: site.State.String(), StateWords: stateWords(site.State),
			Mixed: site.Mixed(), Rules: site.Rules(),
		}
		var served []string
		for _, status := range guarded[site.Name] {
			s.Guard = append(s.Guard, guardView{status.Crawler, guardWords(status, now)})
			if status.Tripped {
				banner := a.trippedBanner(site.Name, status, now)
				tripped, served = append(tripped, banner), append(served, banner.Crawler)
			}
		}
		if s.Tripped = len(served) > 0; s.Tripped {
			s.StateWords = "While the guard is tripped, HTTP/2 is served to " + strings.Join(served, " and ") +
				"; what the state would have refused is on record."
		}
		if t := counted[site.Name]; t != nil {
			count := func(reason policy.Reason) uint64 { return t.decisions[a.tallies.index[reason]].Load() }
			s.Figures = []figure{
				{"refused", digits(count(policy.Refused)), ""},
				{
					"would refuse",
					digits(count(policy.Observed) + count(policy.Guard) + count(policy.LogUnavailable)),
					"",
				},
				{"come-backs", digits(t.comeBacks.Load()), ""},
			}
		}
		sites = append(sites, s)
	}
	return sites, tripped
}

// originViews are the sites' own servers, by site name.
func (a *Admin) originViews(now time.Time) map[string][]originView {
	if a.config.Origins == nil {
		return nil
	}
	out := map[string][]originView{}
	for _, o := range a.config.Origins() {
		v := originView{Address: visible.Text(o.Address), Words: plural(int64(o.InFlight), "request") + " in flight"}
		switch {
		case o.OutUntil.After(now):
			v.Kind, v.Words = "bad", "fails, left out for "+span(o.OutUntil.Sub(now))
		case !o.OutUntil.IsZero():
			v.Kind, v.Words = "bad", "fails, tried by the next request"
		case o.Failures > 0:
			v.Words += ", " + plural(int64(o.Failures), "failure")
		}
		out[o.Site] = append(out[o.Site], v)
	}
	return out
}

func stateWords(s policy.State) string {
	switch s {
	case policy.Refuse:
		return "Verified crawlers that come over HTTP/2 are answered 421, so that they come back over HTTP/1.1."
	case policy.Observe:
		return "Everyone is served; what refuse would have refused is on record."
	}
	return "Crawlers may use HTTP/2."
}

func (a *Admin) trippedBanner(site string, s guard.Status, now time.Time) trippedView {
	t := trippedView{Site: site, Crawler: cmp.Or(s.Crawler, "every crawler"), Refusals: plural(s.Refusals, "time"),
		Resume:  a.config.ResumeCommand(site),
		Explain: a.config.ExplainCommand("https://" + strings.Replace(site, "*", "www", 1) + "/")}
	if !s.Since.IsZero() {
		t.Since = moment(s.Since, now)
	}
	if s.CameBack.After(s.Since) {
		t.CameBack = moment(s.CameBack, now)
	}
	return t
}

func guardWords(s guard.Status, now time.Time) string {
	back := "Never seen over HTTP/1.x and verified yet."
	if !s.CameBack.IsZero() {
		back = "Last seen over HTTP/1.x and verified " + ago(now.Sub(s.CameBack)) + "."
	}
	switch {
	case s.Tripped:
		return "Tripped: refusing has stopped. " + back
	case s.Refusals > 0:
		return fmt.Sprintf("Watching: %s since %s, and it has not come over HTTP/1.x since. %s",
			plural(s.Refusals, "refusal"), moment(s.Since, now), back)
	}
	return "Watching: no refusal is waiting for it to come. " + back
}

// totals are the decisions of all sites, those of sites no longer configured included.
func (a *Admin) totals() ([]figure, []outcomeView) {
	var sums [maxOutcomes]uint64
	var all, back, http1 uint64
	for _, t := range a.counted() {
		for i := range sums {
			n := t.decisions[i].Load()
			sums[i] += n
			all += n
		}
		back += t.comeBacks.Load()
		http1 += t.http1.Load()
	}
	var outcomes []outcomeView
	for i, o := range a.tallies.outcomes {
		outcomes = append(outcomes, outcomeView{o.action.String(), string(o.reason), digits(sums[i]), o.words})
	}
	if n := sums[maxOutcomes-1]; n > 0 {
		outcomes = append(outcomes, outcomeView{other, other, digits(n), "A decision that this page does not know."})
	}
	of := func(reason policy.Reason) string { return digits(sums[a.tallies.index[reason]]) }
	return []figure{
		{"Decisions", digits(all), "requests of all clients"},
		{"Refused", of(policy.Refused), "verified crawlers sent back to HTTP/1.1"},
		{"Come-backs", digits(back), "refused pages fetched over HTTP/1.x since"},
		{"Verified HTTP/1.x", digits(http1), "requests of verified crawlers, refused before or not"},
		{"Impostors", of(policy.Impostor), "false claims over HTTP/2, served"},
		{"Unverified", of(policy.Unverified), "claims nobody could prove in time, served"},
	}, outcomes
}

func (a *Admin) certificateViews(now time.Time) []certificateView {
	var out []certificateView
	covered := map[string]bool{}
	for _, c := range a.config.Certificates() {
		if len(c.Hosts) == 0 {
			continue
		}
		v := certificateView{Until: day(c.NotAfter)}
		for _, host := range c.Hosts {
			covered[host] = true
			v.Hosts = append(v.Hosts, visible.Text(host))
		}
		left := c.NotAfter.Sub(now)
		v.Left = span(left) + " left"
		switch soon := soonBefore(c); {
		case left <= 0:
			v.Left, v.Kind = "ended "+ago(-left), "bad"
		case left < soon:
			v.Kind = "warn"
		}
		out = append(out, v)
	}
	var without []string
	for _, site := range a.config.Policy().Sites() {
		for _, host := range site.Hosts {
			_, parent, _ := strings.Cut(host, ".")
			if !covered[host] && !covered["*."+parent] {
				without = append(without, host)
			}
		}
	}
	if without != nil {
		out = append(out, certificateView{Hosts: without, Left: "none yet", Kind: "bad"})
	}
	return out
}

// soonBefore is how long before its end a certificate is worth a warning: certificates are renewed when a third of
// their life is left, so half of that means that renewing has failed for a while.
func soonBefore(c Certificate) time.Duration {
	if c.NotBefore.IsZero() {
		return 48 * time.Hour
	}
	return c.NotAfter.Sub(c.NotBefore) / 6
}
