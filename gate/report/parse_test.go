package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"gate421/gate/audit"
)

func names() map[string]member {
	all := map[string]member{}
	for _, name := range strings.Fields("v time boot seq event site host path proto client_ip claim verdict verdict_cause ptr rule state action reason status request_id lost left_out removed unsynced from to what by crawler MESSAGE log") {
		all[name] = memberOf([]byte(name))
	}
	return all
}

func TestMembersAreKnown(t *testing.T) {
	if len(names()) != int(members) {
		t.Errorf("%d names for %d members", len(names()), members)
	}
	for name, m := range names() {
		if m == unwanted {
			t.Errorf("%s is unknown", name)
		}
	}
}

// checkLine compares what the reader sees in a line with what encoding/json does.
func checkLine(t *testing.T, text []byte) {
	t.Helper()
	var want map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	valid := json.Valid(text) && d.Decode(&want) == nil && want != nil
	var l line
	if got := l.parse(text); got != valid {
		t.Fatalf("%q: valid %v, encoding/json says %v", text, got, valid)
	}
	if !valid {
		return
	}
	for name, m := range names() {
		word, isText := want[name].(string)
		got, _ := l.decoded(m, nil)
		if isText != (l.values[m].kind == characters) || string(got) != word {
			t.Fatalf("%q: %s is %q, encoding/json says %q", text, name, got, word)
		}
		if _, ascii := look([]byte(word)); isText && ascii && (!l.is(m, word) || l.is(m, word+"x")) {
			t.Fatalf("%q: %s is not %q", text, name, word)
		}
		digits, isNumber := want[name].(json.Number)
		n, ok := l.count(m)
		if u, err := strconv.ParseUint(string(digits), 10, 64); ok != (isNumber && err == nil) || ok && n != u {
			t.Fatalf("%q: %s is %d %v, encoding/json says %q", text, name, n, ok, digits)
		}
	}
	digits, isNumber := want["v"].(json.Number)
	one, ok := l.version()
	if f, _ := strconv.ParseFloat(string(digits), 64); ok != isNumber || one != (f == 1) {
		t.Fatalf("%q: v is %v %v", text, one, ok)
	}
	checkTime(t, want["time"])
}

func checkTime(t *testing.T, v any) {
	t.Helper()
	text, _ := v.(string)
	want, err := time.Parse(time.RFC3339Nano, text)
	want = want.UTC()
	valid := err == nil && len(text) <= 64 && want.Year() >= firstYear && want.Year() <= lastYear
	var c clock
	for range 2 { // the second time the day is remembered
		if at, ok := c.read([]byte(text)); ok != valid || ok && !instant(at).Equal(want) {
			t.Fatalf("%q: %v %v, time.Parse says %v %v", text, instant(at), ok, want, err)
		}
	}
}

func hostileLines() []string {
	deep := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `,"v":1}` }
	return []string{
		``, ` `, `{}`, ` { } `, `{"v":1}`, `{"v":1,}`, `{"v" : 1 , "event" : "decision"}`, `{"v":1}x`, `{"v":1}{}`, `[]`, `null`, `1`, `"x"`, `{"v"}`, `{v:1}`, `{"v":}`, `{,}`,
		`{"v":01}`, `{"v":-0}`, `{"v":1.0}`, `{"v":1e0}`, `{"v":10e-1}`, `{"v":1.}`, `{"v":.1}`, `{"v":1e}`, `{"v":+1}`, `{"v":1e999}`, `{"v":"1"}`, `{"v":true}`, `{"v":tru}`, `{"v":nul}`,
		`{"seq":18446744073709551615}`, `{"seq":18446744073709551616}`, `{"seq":-1}`, `{"seq":1.5}`, `{"seq":00}`, `{"seq":0}`, `{"seq":99999999999999999999999999}`,
		`{"v":1,"v":2}`, `{"v":1,"v":"x"}`, `{"site":"a","site":null}`, `{"site":null,"site":"a"}`, `{"\u0076":1}`, `{"s\u0069te":"x","site":"y"}`, `{"V":1,"Site":"x"}`,
		`{"path":"\u00e9\u2028\ud83d\ude00"}`, `{"path":"\ud83d"}`, `{"path":"\ud83dx"}`, `{"path":"\ud83d\u0041"}`, `{"path":"\ud83d\ud83d\ude00"}`, `{"path":"\ude00"}`, `{"path":"\u12"}`, `{"path":"\u12g4"}`, `{"path":"\x"}`, `{"path":"\"}`,
		`{"path":"\"\\\/\b\f\n\r\t"}`, "{\"path\":\"\x01\"}", "{\"path\":\"\x7f\"}", "{\"path\":\"\xff\xfe\"}", "{\"path\":\"a\xc3\"}", "{\"path\":\"\xed\xa0\x80\"}", "{\"\xff\":1,\"v\":1}", "{\"path\":\"\t\"}", "{\t\"v\"\r:\n1}", "{\x0b\"v\":1}", "\ufeff{}",
		`{"a":{"site":"x","b":[1,{"c":null}],"d":{}},"site":"y"}`, `{"a":[1,2,]}`, `{"a":[,1]}`, `{"a":{"b"}}`, `{"a":{"b":1,}}`, `{"a":{1:2}}`, `{"a":[}`, `{"a":[1}`, `{"a":{"b":1]}`, `{"a":[[],{},[{}]]}`, `{"a":[true,false,null,-1.5e+10,"x\n"]}`, `{"a":[1 2]}`, `{"a":]}`, `{"a":[1]]}`,
		deep(9998), deep(9999), deep(10000), deep(20000), strings.Repeat(`{"a":`, 10001), strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat(`}`, 10000),
		`{"time":"2026-11-22T15:04:05.678900Z"}`, `{"time":"2026-11-22T15:04:05,678900Z"}`, `{"time":"2026-02-29T15:04:05.678900Z"}`, `{"time":"2024-02-29T15:04:05.678900Z"}`, `{"time":"2026-11-22T24:00:00.000000Z"}`, `{"time":"2026-11-22T23:59:60.000000Z"}`,
		`{"time":"1969-12-31T23:59:59.999999Z"}`, `{"time":"2199-12-31T23:59:59.999999Z"}`, `{"time":"2200-01-01T00:00:00.000000Z"}`, `{"time":"2199-12-31T23:59:59-01:00"}`, `{"time":"1970-01-01T00:30:00+01:00"}`, `{"time":"0001-01-01T00:00:00Z"}`, `{"time":"2026-11-22 15:04:05.000000Z"}`,
		`{"time":"\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000T00:00:00.000000Z"}`, `{"time":"2026-11-22T15:04:05.67890aZ"}`, `{"time":"2026-11-22T15:04:05.1Z"}`,
	}
}

func TestParseAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range hostileLines() {
		checkLine(t, []byte(text))
	}
	for line := range bytes.Lines(writtenLines(t, 100)) {
		checkLine(t, bytes.TrimSuffix(line, []byte("\n")))
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range hostileLines() {
		f.Add([]byte(text))
	}
	f.Add(bytes.TrimSuffix(writtenLines(f, 1), []byte("\n")))
	f.Fuzz(func(t *testing.T, text []byte) { checkLine(t, text) })
}

// FuzzExamine reads hostile files: nothing is fatal, and every line is accounted for.
func FuzzExamine(f *testing.F) {
	for _, text := range hostileLines() {
		f.Add([]byte(text+"\n"+text), uint16(3))
	}
	f.Add([]byte("\x1f\x8b\x08\x00"), uint16(9))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"), uint16(9))
	f.Fuzz(func(t *testing.T, text []byte, chunk uint16) {
		q := Question{Workers: 2}
		got, err := examine(t.Context(), &reading{question: &q, filter: newFilter(&q, Choice{}), chunk: 1 + int(chunk)}, texts(text))
		if err != nil {
			t.Fatal(err)
		}
		if plain := !bytes.HasPrefix(text, []byte("\x1f\x8b")) && !bytes.HasPrefix(text, []byte("\x28\xb5\x2f\xfd")); plain {
			want := newReference(q, [][]byte{text})
			if got.Log.Lines != want.log.Lines || got.Log.Broken != want.log.Broken || got.Log.Foreign != want.log.Foreign || got.Log.Missing != want.log.Missing || got.Log.Bytes != want.log.Bytes {
				t.Fatalf("%+v\nwanted %+v", got.Log, want.log)
			}
		}
		asJSON(t, got)
	})
}

func TestWaitsAreWithinOnePercent(t *testing.T) {
	last := uint16(0)
	for wait := int64(1); wait > 0 && wait < 1<<62; wait += max(1, wait/997) {
		b := bucketOf(wait)
		if off := middle(b)/float64(wait) - 1; off > 0.01 || off < -0.01 || b < last {
			t.Fatalf("a wait of %d ns is told as %g, bucket %d behind %d", wait, middle(b), b, last)
		}
		last = b
	}
	if bucketOf(-5) != 0 || bucketOf(1<<63-1) < last {
		t.Error("the ends are wrong")
	}
	var w waits
	for i := range 100 {
		w.add(bucketOf(int64(i+1)*1e9), 1)
	}
	if got := fmt.Sprintf("%.0f %.0f", w.seconds(50), w.seconds(95)); got != "50 95" {
		t.Error(got)
	}
	if new(waits).seconds(50) != 0 {
		t.Error("no wait is not 0")
	}
}

// writtenLines are lines as the log writes them.
func writtenLines(t testing.TB, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	l, err := audit.Open(audit.Config{File: "-", Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	for m := newTraffic(7); m.count < n; {
		l.Decision(m.next())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
