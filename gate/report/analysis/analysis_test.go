package analysis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"gate421/gate/report/logs"
	"gate421/gate/report/logs/logstest"

	"pgregory.net/rapid"
)

// reader reads sources in memory, named by their index.
func reader(sources ...string) *logs.Reader {
	r := &logs.Reader{}
	for i, text := range sources {
		r.Sources = append(r.Sources, logs.Stream(fmt.Sprint(i), strings.NewReader(text)))
	}
	return r
}

// examineText examines a log in memory.
func examineText(t *testing.T, text string) *Report {
	t.Helper()
	r, err := Examine(t.Context(), reader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func asJSON(t interface{ Fatal(...any) }, r *Report) string {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// agree compares waits within 1 % and then takes them over, so that the rest can be compared as text.
func agree(got, want *Report) bool {
	same := func(g, w *Crawl) bool {
		near := math.Abs(g.P50-w.P50) <= w.P50/100+1e-9 && math.Abs(g.P95-w.P95) <= w.P95/100+1e-9
		w.P50, w.P95 = g.P50, g.P95
		return near
	}
	ok := same(&got.Crawl, &want.Crawl) && len(got.Sites) == len(want.Sites)
	for i := 0; ok && i < len(got.Sites); i++ {
		ok = same(&got.Sites[i].Crawl, &want.Sites[i].Crawl) && len(got.Sites[i].Rules) == len(want.Sites[i].Rules)
		for j := 0; ok && j < len(got.Sites[i].Rules); j++ {
			ok = same(&got.Sites[i].Rules[j].Crawl, &want.Sites[i].Rules[j].Crawl)
		}
	}
	return ok
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// logLine writes a line as the log does: v, time, boot and seq first.
func logLine(t *rapid.T, m map[string]any) string {
	rest := maps.Clone(m)
	line := fmt.Sprintf(`{"v":%v,"time":%q,"boot":%s,"seq":%d`, m["v"], m["time"], must(json.Marshal(m["boot"])),
		m["seq"])
	for _, name := range []string{"v", "time", "boot", "seq"} {
		delete(rest, name)
	}
	if len(rest) == 0 {
		return line + "}"
	}
	return line + "," + string(must(json.Marshal(rest)))[1:]
}

// drawLog draws the log of one gateway.
func drawLog(t *rapid.T, name string) string {
	var log strings.Builder
	word := func(words ...string) string { return rapid.SampledFrom(words).Draw(t, "word") }
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	stride := time.Duration(rapid.SampledFrom([]int64{1e3, 1e9, 3600e9, 30 * 86400e9}).Draw(t, "stride"))
	var lines []string
	boot, seq, ids := 0, uint64(rapid.IntRange(0, 100).Draw(t, "seq")), 0
	put := func(m map[string]any) {
		seq += uint64(rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 3, 0}).Draw(t, "step"))
		m["v"], m["time"], m["boot"], m["seq"] = 1, at.Format("2006-01-02T15:04:05.000000Z"), fmt.Sprint(name, boot),
			seq
		line := logLine(t, m)
		switch rapid.IntRange(0, 9).Draw(t, "around") {
		case 0:
			line = "Nov 20 00:00:00 shop gate421[7]: " + line
		case 1:
			line = string(must(json.Marshal(map[string]any{"__CURSOR": "s=1", "PRIORITY": "6", "MESSAGE": line})))
		case 2:
			line = string(must(json.Marshal(map[string]any{"log": line + "\n", "stream": "stdout"})))
		}
		log.WriteString(line)
		lines = append(lines, line)
		if rapid.IntRange(0, 9).Draw(t, "twice") == 0 {
			log.WriteString("\n" + rapid.SampledFrom(lines).Draw(t, "which"))
		}
		log.WriteString(word("\n", "\n", "\n", "\r\n", "\n\n"))
	}
	for range rapid.IntRange(0, 60).Draw(t, "lines") {
		at = at.Add(time.Duration(rapid.Int64Range(0, int64(stride)).Draw(t, "pause")).Truncate(time.Microsecond))
		ids++
		m := map[string]any{"event": "decision", "site": word("a.test", "b.test", "ü\"\\ \u2028"),
			"host": word("a.test", "www.a.test"), "path": word("/", "/a", "/b?ü=\"1\""),
			"claim": word("googlebot", "googlebot", "bingbot"), "verdict": "genuine", "rule": word("http2_crawl", "/a"),
			"state":      word("refuse", "observe"),
			"request_id": fmt.Sprint(name, ids), "agent": "\x01 \x7f"}
		switch rapid.IntRange(0, 14).Draw(t, "what") {
		case 0, 1, 2, 3:
			m["proto"], m["action"], m["reason"], m["status"] = "HTTP/2.0", "refuse", "refused", 421
			put(m)
			if rapid.IntRange(0, 4).Draw(t, "withdraw") == 0 {
				m["action"], m["reason"], m["status"] = "serve", "log_unavailable", 200
				put(m)
			}
		case 4, 5, 6, 7:
			m["proto"], m["action"], m["reason"], m["status"] = word("HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/3.0",
				""), word("serve", "serve", "serve", "redirect"), "http1",
				rapid.SampledFrom([]int{200, 200, 404, 500, 0}).Draw(t, "status")
			put(m)
		case 8:
			m["proto"], m["action"], m["reason"] = "HTTP/2.0", word("serve", "reject"),
				word("guard", "observed", "misdirected")
			put(m)
		case 9:
			m["verdict"], m["proto"], m["action"] = word("impostor", "unknown", ""), word("HTTP/2.0", "HTTP/1.1"),
				"serve"
			m["client_ip"], m["ptr"], m["verdict_cause"] = word("192.0.2.1", "192.0.2.9", "2001:db8::1", "?",
				"10.1.2.3", "fd00:1:2::3"), word("", "x.test"), word("", "timeout")
			put(m)
		case 10:
			put(map[string]any{"event": word("gap", "start", "stop"), "lost": rapid.IntRange(0, 4).Draw(t, "lost"),
				"left_out": rapid.IntRange(0, 3).Draw(t, "left_out"),
				"removed":  rapid.IntRange(0, 3).Draw(t, "removed"),
				"unsynced": rapid.IntRange(0, 2).Draw(t, "unsynced")})
		case 11:
			put(map[string]any{"event": word("rule", "guard"), "site": word("a.test", "b.test"), "from": "refuse",
				"to": "observe", "what": word("", "tripped", "trouble"), "crawler": word("googlebot", "adsbot-google")})
		case 12:
			log.WriteString(word("{\n", "x\n", "[1]\n", "gate421: the guard has tripped\n", "{\"v\":1,\"time\":\n",
				"\x00\x00\n", "\"proto\":\"HTTP/2.0\"}\n", "{\"v\":1}\n", "{\"v\":\"1\",\"event\":\"decision\"}\n",
				"null\n", "\n", "{\"v\":2,\"event\":\"x\",\"time\":\"2026-11-22T00:00:00Z\"}\n",
				"{\"v\":1,\"event\":\"decision\",\"time\":\"1969-12-31T23:59:59Z\"}\n",
				"{\"v\":1,\"event\":\"decision\",\"time\":\"2026-11-22T00:00:00+14:00\",\"site\":\"a.test\"}\n"))
		case 13:
			boot++
			seq = uint64(rapid.IntRange(0, 3).Draw(t, "first"))
		case 14:
			delete(m, "claim")
			delete(m, "verdict")
			m["proto"], m["action"] = "HTTP/2.0", "serve"
			put(m)
		}
	}
	log.WriteString(word("", "{\"v\":1,\"ev"))
	return log.String()
}

func TestExamineAgreesWithReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sources []string
		for i := range rapid.IntRange(1, 3).Draw(t, "gateways") {
			sources = append(sources, drawLog(t, fmt.Sprint("g", i, "-")))
		}
		var q logs.Query
		if rapid.Bool().Draw(t, "since") {
			q.Since = time.Date(2026, 11, 20, 0, 0, rapid.IntRange(0, 10).Draw(t, "second"), 0, time.UTC)
		}
		if rapid.Bool().Draw(t, "until") {
			q.Until = time.Date(2026, 11, 20, rapid.IntRange(0, 30).Draw(t, "hour"), 0, 0, 0, time.UTC)
		}
		q.Site = rapid.SampledFrom([]string{"", "", "a.test", "ü\"\\ \u2028"}).Draw(t, "site")
		if rapid.IntRange(0, 3).Draw(t, "match") == 0 {
			q.Path, q.Match = "/b", func(path string) bool { return strings.HasPrefix(path, "/b") }
		}
		want := newReference(q, sources).report()
		var before string
		sizes := []struct{ workers, chunk int }{{1, 1 << 20}, {4, 1 << 20},
			{4, rapid.IntRange(1, 3000).Draw(t, "chunk")}}
		for _, size := range sizes {
			r := reader(sources...)
			r.Query, r.Workers, r.ChunkBytes = q, size.workers, size.chunk
			got, err := Examine(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if !agree(got, want) {
				t.Fatalf("the waits differ by more than 1 %%: got %s\nwant %s", asJSON(t, got), asJSON(t, want))
			}
			if g, w := asJSON(t, got), asJSON(t, want); g != w {
				t.Fatalf("%d workers, chunks of %d: %s", size.workers, size.chunk, difference(g, w))
			} else if before != "" && before != g {
				t.Fatalf("%d workers, chunks of %d: got another report than before: %s", size.workers, size.chunk,
					difference(g, before))
			} else {
				before = g
			}
		}
	})
}

// difference is the first line in which two texts differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d, behind %q:\ngot  %s\nwant %s\n", i+1, g[max(0, i-3):i],
				strings.Join(g[i:min(i+4, len(g))], "\n"), strings.Join(w[i:min(i+4, len(w))], "\n"))
		}
	}
	return fmt.Sprintf("%d and %d lines", len(g), len(w))
}

// FuzzExamine reads hostile files: nothing is fatal, and every line is accounted for.
func FuzzExamine(f *testing.F) {
	for _, text := range logstest.OddLines() {
		f.Add([]byte(text+"\n"+text), uint16(3))
	}
	f.Add([]byte("\x1f\x8b\x08\x00"), uint16(9))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"), uint16(9))
	f.Fuzz(func(t *testing.T, text []byte, chunk uint16) {
		r := reader(string(text))
		r.Workers, r.ChunkBytes = 2, 1+int(chunk)
		got, err := Examine(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if plain := !bytes.HasPrefix(text, []byte("\x1f\x8b")) &&
			!bytes.HasPrefix(text, []byte("\x28\xb5\x2f\xfd")); plain {
			want := newReference(r.Query, []string{string(text)})
			if got.Log.Lines != want.log.Lines || got.Log.Broken != want.log.Broken ||
				got.Log.Foreign != want.log.Foreign || got.Log.Missing != want.log.Missing ||
				got.Log.Bytes != want.log.Bytes {
				t.Fatalf("got  %+v\nwant %+v", got.Log, want.log)
			}
		}
		asJSON(t, got)
	})
}

// BenchmarkExamine reads a log of the size that GATE421_BENCH_RECORDS says, made by the real log.
func BenchmarkExamine(b *testing.B) {
	records := 200_000
	fmt.Sscan(os.Getenv("GATE421_BENCH_RECORDS"), &records)
	path := logstest.File(b, records)
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(info.Size())
			var lines int64
			for b.Loop() {
				sources, err := logs.Open([]string{path}, nil)
				if err != nil {
					b.Fatal(err)
				}
				got, err := Examine(b.Context(), &logs.Reader{Sources: sources, Workers: workers})
				if err != nil {
					b.Fatal(err)
				}
				lines += got.Log.Lines
			}
			b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
