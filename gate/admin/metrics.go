package admin

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gate421/gate/policy"
	"gate421/gate/visible"
)

// registry is a registry of our own, so that nothing that is linked into the program adds to it. The numbers are read
// when Prometheus asks: requests pay for none of this.
func (a *Admin) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(a.siteMetrics(), a.guardMetrics(), a.gateMetrics(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if a.config.Origins != nil {
		r.MustRegister(a.originMetrics())
	}
	if a.config.Lookups != nil {
		r.MustRegister(a.lookupMetrics())
	}
	if a.config.Front != nil {
		r.MustRegister(a.frontMetrics())
	}
	if a.config.Log != nil {
		r.MustRegister(a.logMetrics())
	}
	return r
}

// group is a collector of metrics that are read together.
type group struct {
	descs   []*prometheus.Desc
	collect func(sink)
}

func (g *group) desc(name, words string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("gate421_"+name, words, labels, nil)
	g.descs = append(g.descs, d)
	return d
}

// Describe serves prometheus.Collector.
func (g *group) Describe(out chan<- *prometheus.Desc) {
	for _, d := range g.descs {
		out <- d
	}
}

// Collect serves prometheus.Collector.
func (g *group) Collect(out chan<- prometheus.Metric) { g.collect(out) }

// sink takes the series of one answer.
type sink chan<- prometheus.Metric

func (s sink) send(kind prometheus.ValueType, d *prometheus.Desc, value float64, labels []string) {
	metric, err := prometheus.NewConstMetric(d, kind, value, labels...)
	if err != nil {
		metric = prometheus.NewInvalidMetric(d, err)
	}
	s <- metric
}

func (s sink) counter(d *prometheus.Desc, value uint64, labels ...string) {
	s.send(prometheus.CounterValue, d, float64(value), labels)
}

func (s sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.send(prometheus.GaugeValue, d, value, labels)
}

// counters and gauges send a series for every word.
func (s sink) counters(d *prometheus.Desc, values map[string]uint64) {
	for word, value := range values {
		s.counter(d, value, word)
	}
}

func (s sink) gauges(d *prometheus.Desc, values map[string]uint64) {
	for word, value := range values {
		s.gauge(d, float64(value), word)
	}
}

func (s sink) histogram(d *prometheus.Desc, h Histogram, labels ...string) {
	upTo := make(map[float64]uint64, len(h.Bounds))
	var count uint64
	for i, n := range h.Counts {
		count += n
		if i < len(h.Bounds) {
			upTo[h.Bounds[i]] = count
		}
	}
	s <- prometheus.MustNewConstHistogram(d, count, h.Sum, upTo, labels...)
}

// siteMetrics count decisions and what came of them. A series of a live site is there from the first answer on, so that
// rate() sees its first event.
func (a *Admin) siteMetrics() prometheus.Collector {
	g := &group{}
	decisions := g.desc("decisions_total", "Requests by site (\"\": a host that is not configured), action and reason.",
		"site", "action", "reason")
	verdicts := g.desc("verdicts_total",
		"Verdicts on clients that claim to be a crawler, by where the verdict came from (\"\": nowhere).", "verdict",
		"source")
	comeBacks := g.desc(
		"come_backs_total",
		"Refused URLs that the verified crawler then fetched over HTTP/1.x, among the latest 262,144 refused since the start.",
		"site",
	)
	http1 := g.desc("verified_http1_requests_total",
		"Requests of verified crawlers over HTTP/1.x, whether anything was refused before or not.", "site")
	origins := g.desc("origin_requests_total", "Requests that a site's origin was asked, by the class of its status, "+
		"or by what went wrong, before its answer began or in it. A folder is not asked.", "site", "result")
	first := g.desc("origin_seconds", "How long a site's origin took to begin its answer, where it did.", "site")
	g.collect = func(s sink) {
		for site, t := range a.counted() {
			a.collectDecisions(s, decisions, site, t)
			if n := t.comeBacks.Load(); site != "" || n > 0 {
				s.counter(comeBacks, n, site)
			}
			if n := t.http1.Load(); site != "" || n > 0 {
				s.counter(http1, n, site)
			}
			if site != "" {
				for i, word := range originResultWords() {
					s.counter(origins, t.origin.results[i].Load(), site, word)
				}
				s.histogram(first, t.origin.histogram(), site)
			}
		}
		for v, verdict := range verdictWords() {
			for i, source := range verdictSourceWords() {
				certain := verdict != verdictUnknown && source == "" // no verdict but unknown comes from nowhere
				if n := a.tallies.verdicts[v][i].Load(); n > 0 || source != other && !certain {
					s.counter(verdicts, n, verdict, source)
				}
			}
		}
	}
	return g
}

func (a *Admin) collectDecisions(s sink, d *prometheus.Desc, site string, t *tally) {
	for i, o := range a.tallies.outcomes {
		n := t.decisions[i].Load()
		if belongs := (site == "") == (o.reason == policy.UnknownHost); belongs || n > 0 {
			s.counter(d, n, site, o.action.String(), string(o.reason))
		}
	}
	if n := t.decisions[maxOutcomes-1].Load(); n > 0 {
		s.counter(d, n, site, other, other)
	}
}

// guardMetrics show the guard. What it counts is shown of the sites that it is on for.
func (a *Admin) guardMetrics() prometheus.Collector {
	g := &group{}
	tripped := g.desc(
		"guard_tripped",
		"1 while the guard keeps a site from refusing a crawler; crawler \"\": every one of them. Of sites whose guard is on.",
		"site",
		"crawler",
	)
	refusals := g.desc("guard_refusals",
		"Refusals of a crawler since it last came over HTTP/1.x, verified, on a site whose guard is on.", "site",
		"crawler")
	comeBack := g.desc("guard_last_http1_timestamp_seconds",
		"When a crawler last came over HTTP/1.x, verified, to a site whose guard is on; 0: never.", "site", "crawler")
	g.collect = func(s sink) {
		guarded := a.guarded()
		for _, site := range a.config.Policy().Sites() {
			for _, status := range guarded[site.Name] {
				s.gauge(tripped, number(status.Tripped), site.Name, status.Crawler)
				s.gauge(refusals, float64(status.Refusals), site.Name, status.Crawler)
				s.gauge(comeBack, timestamp(status.CameBack), site.Name, status.Crawler)
			}
		}
	}
	return g
}

// gateMetrics show the gateway's own health.
func (a *Admin) gateMetrics() prometheus.Collector {
	g := &group{}
	ready := g.desc("log_ready", "1 while the decision log takes lines; while it does not, nobody is refused.")
	expiry := g.desc("certificate_expiry_timestamp_seconds",
		"When the host's certificate ends, the earliest of several.", "host")
	working := g.desc(
		"resolver_working",
		"0 if the DNS did not prove an address of Googlebot's when it was last tried, so that nobody is refused; else 1.",
	)
	prefixes := g.desc("ranges_prefixes", "Prefixes in a published list of address ranges, as it is in use.", "list")
	fetched := g.desc("ranges_fetched_timestamp_seconds",
		"When a published list of address ranges was last confirmed by its publisher; 0: never.", "list")
	stale := g.desc("ranges_stale",
		"1 if the publisher of a list of address ranges has not confirmed it for three days, in spite of all attempts.",
		"list")
	reloaded := g.desc("config_last_reload_successful",
		"1 while the configuration file is in use as it stands; 0 while its last change is rejected.")
	reloadedAt := g.desc("config_last_reload_timestamp_seconds",
		"When a version of the configuration was last taken up.")
	build := g.desc("build_info", "Always 1.", "version", "goversion")
	g.collect = func(s sink) {
		s.gauge(ready, number(a.config.LogReady()))
		if a.config.Certificates != nil {
			for host, end := range expiries(a.config.Certificates()) {
				s.gauge(expiry, float64(end.Unix()), host)
			}
		}
		if a.config.Verification != nil {
			_, failing := a.failing()
			s.gauge(working, number(!failing))
		}
		if a.config.Ranges != nil {
			for _, list := range a.config.Ranges() {
				s.gauge(prefixes, float64(list.Prefixes), list.Name)
				s.gauge(fetched, timestamp(list.Fetched), list.Name)
				s.gauge(stale, number(list.Stale), list.Name)
			}
		}
		if a.config.Reload != nil {
			r := a.config.Reload()
			s.gauge(reloaded, number(r.Rejected.IsZero()))
			s.gauge(reloadedAt, timestamp(r.At))
		}
		s.gauge(build, 1, version(a.config.Product), runtime.Version())
	}
	return g
}

// timestamp is a time for Prometheus; 0 for none.
func timestamp(t time.Time) float64 { return float64(max(t.Unix(), 0)) }

// expiries has for each host the earliest end of its certificates.
func expiries(certificates []Certificate) map[string]time.Time {
	ends := map[string]time.Time{}
	for _, c := range certificates {
		for _, host := range c.Hosts {
			host = visible.Text(host)
			if end, known := ends[host]; !known || c.NotAfter.Before(end) {
				ends[host] = c.NotAfter
			}
		}
	}
	return ends
}

// version is the second word of the product.
func version(product string) string {
	if words := strings.Fields(product); len(words) > 1 {
		return visible.Text(words[1])
	}
	return ""
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
