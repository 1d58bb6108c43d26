package logs

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"gate421/gate/report/logs/logstest"
)

// What a journal, a container's runtime or a shipper puts around a line is no part of it, for every way of reading.
func TestEnvelopes(t *testing.T) {
	line := func(seq int) string {
		return strings.TrimSuffix(logstest.Line(1, seq, "HTTP/2.0", "/ü\"", ""), "\n")
	}
	quoted := func(text string) string {
		out, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, text := range []string{
		line(1),
		"Nov 22 00:01:00 shop gate421[811]: " + line(2),
		"2026-11-22T00:01:00.000000+00:00 shop gate421 " + line(3),
		"<14>1 2026-11-22T00:01:00Z shop gate421 811 - [meta x=\"y\"] " + line(4),
		"2026-11-22T00:01:00.123456789Z stdout F " + line(5),
		"gate421-1  | " + line(6),
		"[pod/gate421-0/gate421] " + line(7),
		`{"__CURSOR":"s=1","MESSAGE":` + quoted(line(8)) + `,"PRIORITY":"6"}`,
		`{"log":` + quoted(line(9)+"\n") + `,"stream":"stdout","time":"2026-11-22T00:01:00Z"}`,
		"\x00\x00\x00\x00" + line(10),
		"\ufeff" + line(11),
	} {
		got, records := read(t, &Reader{Sources: texts(text + "\n")})
		if got.Records != 1 || got.Foreign != 0 || got.Broken != 0 || strings.Join(records, " ") != `/ü"` {
			t.Errorf("%q: got %+v, records %q; want one record of /ü\"", text, got, records)
		}
		_, lines := selected(t, &Reader{Sources: texts(text + "\n")}, Choice{})
		if len(lines) != 1 || !strings.HasPrefix(lines[0], lineStart) || !json.Valid([]byte(lines[0])) {
			t.Fatalf("%q: selected %q, want the line alone", text, lines)
		}
		path := filepath.Join(t.TempDir(), "x.log")
		put(t, path, []byte(text+"\n"))
		tail := []string{}
		err := (&Tail{Path: path, Last: 5}).Run(t.Context(),
			func(line []byte) error { tail = append(tail, string(line)); return nil })
		if err != nil || len(tail) != 1 || tail[0] != lines[0] {
			t.Errorf("%q: tail got %q, %v; want %q", text, tail, err, lines)
		}
	}
}

// Lines of other programs are foreign; pieces of the log's own are broken.
func TestForeignAndBrokenLines(t *testing.T) {
	line := strings.TrimSuffix(logstest.Line(1, 1, "HTTP/2.0", "/ü\"", ""), "\n")
	for text, foreign := range map[string]int64{
		"gate421: the guard has tripped on example.com":        1,
		"Nov 22 00:01:00 shop systemd[1]: Started gate421.":    1,
		`66.249.66.1 - - [22/Nov/2026] "GET / HTTP/1.1" 200 5`: 1,
		`{"level":"info","msg":"x"}`:                           1,
		`{"MESSAGE":"Started gate421.","PRIORITY":"6"}`:        1,
		`{"MESSAGE":[1,2],"log":{"x":1}}`:                      1,
		line[:100]:                                             0,
		"Nov 22 00:01:00 shop gate421: " + line[:60]:           0,
		line[50:]:  0,
		"\x00\x00": 0,
	} {
		got, _ := read(t, &Reader{Sources: texts(text + "\n")})
		if got.Records != 0 || got.Foreign != foreign || got.Broken != 1-foreign {
			t.Errorf("%q: got %d records, %d foreign, %d broken; want 0, %d and %d", text, got.Records, got.Foreign,
				got.Broken, foreign, 1-foreign)
		}
	}
}
