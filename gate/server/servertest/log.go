package servertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"
)

// Log reads a decision log line by line while it is written.
type Log struct {
	Path  string
	Lines []map[string]any
	Taken []bool // of Lines: a test has seen it

	t    *testing.T
	read int // bytes
}

// NewLog reads the log at path, which need not be there yet.
func NewLog(t *testing.T, path string) *Log { return &Log{t: t, Path: path} }

// Poll reads what is new.
func (l *Log) Poll() {
	l.t.Helper()
	text, err := os.ReadFile(l.Path)
	if err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
	for l.read < len(text) {
		end := bytes.IndexByte(text[l.read:], '\n')
		if end < 0 {
			return
		}
		var line map[string]any
		if err := json.Unmarshal(text[l.read:l.read+end], &line); err != nil {
			l.t.Fatalf("line %d of the decision log: %v", len(l.Lines)+1, err)
		}
		l.read += end + 1
		l.Lines, l.Taken = append(l.Lines, line), append(l.Taken, false)
	}
}

// Wait is the first line that has these fields, among those that nobody has waited for.
func (l *Log) Wait(fields map[string]string) map[string]any {
	l.t.Helper()
	deadline := time.Now().Add(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		l.Poll()
		for i, line := range l.Lines {
			if !l.Taken[i] && maps.Equal(Only(line, fields), fields) {
				l.Taken[i] = true
				return line
			}
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("after %v the decision log has no other line with %v; it has %v", Patience, fields, l.Lines)
		}
	}
}

// Decision is the line of the next request.
func (l *Log) Decision() map[string]any {
	l.t.Helper()
	return l.Wait(map[string]string{"event": "decision"})
}

// Only is the part of a line that wanted names, as text with "_" for spaces; a field that the line does not have is "".
// A wanted value that ends in "*" is a beginning.
func Only(line map[string]any, wanted map[string]string) map[string]string {
	got := map[string]string{}
	for name := range wanted {
		got[name] = ""
		if value, ok := line[name]; ok {
			got[name] = strings.ReplaceAll(fmt.Sprint(value), " ", "_")
			if beginning, open := strings.CutSuffix(wanted[name], "*"); open && strings.HasPrefix(got[name], beginning) {
				got[name] = wanted[name]
			}
		}
	}
	return got
}

// Fields reads "k=v k=v".
func Fields(text string) map[string]string {
	out := map[string]string{}
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		out[name] = value
	}
	return out
}

// CheckOrder holds a whole decision log to what is true of every one: numbered, without gaps where no line failed, up
// to stop; each request with one line; nobody refused without proof or over HTTP/1.x.
func (l *Log) CheckOrder(gapless bool) {
	t := l.t
	t.Helper()
	if len(l.Lines) == 0 {
		t.Error("the decision log is empty")
		return
	}
	last := 0.0
	for i, line := range l.Lines {
		seq, _ := line["seq"].(float64)
		ordered := seq > last && (!gapless || seq == last+1)
		last = seq
		if line["v"] != 1.0 || !ordered || line["boot"] != l.Lines[0]["boot"] || line["time"] == nil {
			t.Errorf("line %d is not in order: %v", i+1, line)
		}
		if line["event"] != "decision" {
			continue
		}
		if !l.Taken[i] {
			t.Errorf("line %d is of a request that nobody made: %v", i+1, line)
		}
		proven := line["verdict"] == "genuine" && line["action"] == "refuse" && line["status"] == 421.0
		if line["reason"] == "refused" && !proven {
			t.Errorf("line %d refuses somebody who is not proven, or otherwise than with 421: %v", i+1, line)
		}
		if line["status"] == 421.0 && line["proto"] != "HTTP/2.0" {
			t.Errorf("line %d has 421 over %v", i+1, line["proto"])
		}
	}
	if end := l.Lines[len(l.Lines)-1]; end["event"] != "stop" {
		t.Errorf("the log ends with %v, not with stop", end)
	}
}
