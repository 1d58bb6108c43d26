package admin

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gate421/gate/policy"
)

// registry is a registry of our own, so that nothing that is linked into the program adds to it. The numbers are read when
// Prometheus asks: requests pay for none of this.
func (a *Admin) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(newMetrics(a), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// metrics shows an Admin to Prometheus. A series of a live site is there from the first answer on, so that rate() sees its
// first event.
type metrics struct {
	admin *Admin

	decisions, verdicts, comeBacks, tripped, ready, expiry, prefixes, fetched, build *prometheus.Desc
}

func newMetrics(a *Admin) *metrics {
	desc := func(name, words string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gate421_"+name, words, labels, nil)
	}
	return &metrics{
		admin: a,
		decisions: desc("decisions_total", "Requests by site (\"\": a host that is not configured), action and reason.",
			"site", "action", "reason"),
		verdicts: desc("verdicts_total", "Verdicts on clients that claim to be a crawler, by where the verdict came from (\"\": nowhere).",
			"verdict", "source"),
		comeBacks: desc("come_backs_total", "Requests of verified crawlers over HTTP/1.x.", "site"),
		tripped:   desc("guard_tripped", "1 while the guard keeps a site from refusing.", "site"),
		ready:     desc("log_ready", "1 while the decision log takes lines; while it does not, nobody is refused."),
		expiry:    desc("certificate_expiry_timestamp_seconds", "When the host's certificate ends, the earliest of several.", "host"),
		prefixes:  desc("ranges_prefixes", "Prefixes in the published ranges of addresses that are in use."),
		fetched:   desc("ranges_fetched_timestamp_seconds", "When the published ranges were last confirmed by who publishes them; 0: never."),
		build:     desc("build_info", "Always 1.", "version", "goversion"),
	}
}

// Describe serves prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.decisions, m.verdicts, m.comeBacks, m.tripped, m.ready, m.expiry, m.prefixes, m.fetched, m.build} {
		out <- d
	}
}

// Collect serves prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType, d *prometheus.Desc, value float64, labels []string) {
		metric, err := prometheus.NewConstMetric(d, kind, value, labels...)
		if err != nil {
			metric = prometheus.NewInvalidMetric(d, err)
		}
		out <- metric
	}
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		send(prometheus.CounterValue, d, float64(value), labels)
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		send(prometheus.GaugeValue, d, value, labels)
	}
	a := m.admin
	for site, tally := range a.counted() {
		m.collectSite(counter, site, tally)
	}
	for v, verdict := range verdictWords() {
		for s, source := range verdictSourceWords() {
			certain := verdict != verdictUnknown && source == "" // no verdict but unknown comes from nowhere
			if n := a.tallies.verdicts[v][s].Load(); n > 0 || source != other && !certain {
				counter(m.verdicts, n, verdict, source)
			}
		}
	}
	guarded := a.guarded()
	for _, site := range a.config.Policy().Sites() {
		gauge(m.tripped, number(guarded[site.Name].Tripped), site.Name)
	}
	gauge(m.ready, number(a.config.LogReady()))
	if a.config.Certificates != nil {
		for host, end := range expiries(a.config.Certificates()) {
			gauge(m.expiry, float64(end.Unix()), host)
		}
	}
	if a.config.Ranges != nil {
		prefixes, fetched := a.config.Ranges()
		gauge(m.prefixes, float64(prefixes))
		gauge(m.fetched, float64(max(fetched.Unix(), 0)))
	}
	gauge(m.build, 1, version(a.config.Product), runtime.Version())
}

func (m *metrics) collectSite(counter func(*prometheus.Desc, uint64, ...string), site string, t *tally) {
	for i, o := range m.admin.tallies.outcomes {
		n := t.decisions[i].Load()
		if belongs := (site == "") == (o.reason == policy.UnknownHost); belongs || n > 0 {
			counter(m.decisions, n, site, o.action.String(), string(o.reason))
		}
	}
	if n := t.decisions[maxOutcomes-1].Load(); n > 0 {
		counter(m.decisions, n, site, other, other)
	}
	if n := t.comeBacks.Load(); site != "" || n > 0 {
		counter(m.comeBacks, n, site)
	}
}

// expiries has for each host the earliest end of its certificates.
func expiries(certificates []Certificate) map[string]time.Time {
	ends := map[string]time.Time{}
	for _, c := range certificates {
		for _, host := range c.Hosts {
			host = visible(host)
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
		return visible(words[1])
	}
	return ""
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
