package logs

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"gate421/gate/report/logs/logstest"
)

// fieldNames are the names of all fields.
func fieldNames() map[string]Field {
	all := map[string]Field{}
	for _, name := range strings.Fields("v time boot seq event site host path proto client_ip claim verdict " +
		"verdict_cause ptr rule state action " +
		"reason status request_id lost left_out removed unsynced from to what by crawler MESSAGE log") {
		all[name] = fieldOf([]byte(name))
	}
	return all
}

func TestFieldNames(t *testing.T) {
	seen := map[Field]string{}
	for name, f := range fieldNames() {
		if other, twice := seen[f]; twice || f == unknownField {
			t.Errorf("%s is field %d, like %q; want one of its own", name, f, other)
		}
		seen[f] = name
	}
	if len(seen) != int(fields) {
		t.Errorf("got %d names, want %d", len(seen), fields)
	}
	if got := fieldOf([]byte("Site")); got != unknownField {
		t.Errorf("Site is field %d, want none", got)
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
		t.Fatalf("%q: valid: got %v, encoding/json says %v", text, got, valid)
	}
	if !valid {
		return
	}
	for name, f := range fieldNames() {
		word, isText := want[name].(string)
		got, _ := l.decoded(f, nil)
		if isText != (l.values[f].kind == stringValue) || string(got) != word {
			t.Fatalf("%q: %s is %q, encoding/json says %q", text, name, got, word)
		}
		if _, ascii := scan([]byte(word)); isText && ascii && (!l.is(f, word) || l.is(f, word+"x")) {
			t.Fatalf("%q: %s is %q: got false, or true of a longer text", text, name, word)
		}
		digits, isNumber := want[name].(json.Number)
		n, ok := l.count(f)
		if u, err := strconv.ParseUint(string(digits), 10, 64); ok != (isNumber && err == nil) || ok && n != u {
			t.Fatalf("%q: %s is %d %v, encoding/json says %q", text, name, n, ok, digits)
		}
	}
	digits, isNumber := want["v"].(json.Number)
	one, ok := l.version()
	if n, _ := strconv.ParseFloat(string(digits), 64); ok != isNumber || one != (n == 1) {
		t.Fatalf("%q: v is 1: got %v, %v; want %v, %v", text, one, ok, n == 1, isNumber)
	}
	checkTime(t, want["time"])
}

func checkTime(t *testing.T, v any) {
	t.Helper()
	text, _ := v.(string)
	want, err := time.Parse(time.RFC3339Nano, text)
	want = want.UTC()
	valid := err == nil && len(text) <= 64 && want.Year() >= firstYear && want.Year() <= lastYear
	var times timeParser
	for range 2 { // the second time the day is remembered
		if at, ok := times.parse([]byte(text)); ok != valid || ok && !instant(at).Equal(want) {
			t.Fatalf("%q: %v %v, time.Parse says %v %v", text, instant(at), ok, want, err)
		}
	}
}

func TestParseAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range logstest.OddLines() {
		checkLine(t, []byte(text))
	}
	for line := range bytes.Lines(logstest.Lines(t, 100)) {
		checkLine(t, bytes.TrimSuffix(line, []byte("\n")))
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range logstest.OddLines() {
		f.Add([]byte(text))
	}
	f.Add(bytes.TrimSuffix(logstest.Lines(f, 1), []byte("\n")))
	f.Fuzz(func(t *testing.T, text []byte) { checkLine(t, text) })
}
