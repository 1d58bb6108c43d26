//go:build peers

package peers

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// feature is one thing that HTTP can do of HTTP, tried in every arrangement over both protocols. A judge and a try say
// what is wrong, "" if nothing.
//
// A cell is fine when the judge is content and, for a row with an ask, the answer (what the origin saw of the request
// included) is the one that the client gets without the gateway. A cell that cannot be fine has a name.
type feature struct {
	name string
	ask  ask
	want judge
	try  func(*lane) string // in place of ask and want, for what takes more than one exchange

	own    bool              // the answer is the gateway's, and not to be compared
	apart  []string          // fields that differ from what a client gets without the gateway, and have to
	origin map[string]string // by column, or column and protocol: why this origin fails, which it has to without the gateway, too
	gate   map[string]string // by protocol: why the gateway fails, which it has to
	absent map[string]string // by protocol: why there is no such thing in it; the cell is not tried
}

type judge func(*lane, got) string

// outcome is what became of a row in one lane.
type outcome struct {
	wrong string
	got   got
}

func (r feature) run(l *lane) outcome {
	if r.try != nil {
		return outcome{wrong: r.try(l)}
	}
	g := l.exchange(r.ask)
	return outcome{r.want(l, g), g}
}

// Every feature through the gateway, in front of nginx, Apache and a Go server, and behind HAProxy. nginx and Apache
// serve files and some answers themselves and pass the rest on to the same Go program that is the third origin.
func TestMatrix(t *testing.T) {
	m := arrange(t)
	rows := slices.Concat(requestRows(), targetRows(), fieldRows(), answerRows(), fileRows(), bodyRows(), connectionRows())
	table := newTable(m.columns)
	for _, r := range rows {
		var cells []string
		for _, c := range m.columns {
			direct := r.run(c.direct)
			for _, l := range c.through {
				named, wrong := r.cell(l, direct)
				if wrong != "" {
					t.Errorf("%s: %s over %s: %s", r.name, c.name, l.proto, wrong)
					named = "WRONG"
				}
				cells = append(cells, named)
			}
		}
		table.add(r.name, cells)
	}
	if len(rows) < 60 {
		t.Errorf("%d rows", len(rows))
	}
	text := table.text()
	t.Log("\n" + text)
	write(t, filepath.Join(t.ArtifactDir(), "matrix.txt"), []byte(text))
}

// cell is the reason why a cell is not fine, "" if it is; wrong is why it may not be so.
func (r feature) cell(l *lane, direct outcome) (named, wrong string) {
	if reason := r.absent[l.proto]; reason != "" {
		return reason, ""
	}
	through := r.run(l)
	if through.wrong == "" && r.try == nil && !r.own {
		through.wrong = unlike(direct.got, through.got, r.apart)
	}
	reason := r.origin[l.column]
	if reason == "" {
		reason = r.origin[l.column+" "+l.proto]
	}
	switch {
	case r.gate[l.proto] != "" && through.wrong == "" || reason != "" && through.wrong == "":
		return "", "it is fine, although it has a name for why not"
	case through.wrong == "":
		return "", ""
	case r.gate[l.proto] != "":
		return r.gate[l.proto], ""
	case reason != "" && direct.wrong == "":
		return "", fmt.Sprintf("%s; without the gateway it is fine", through.wrong)
	case reason != "":
		return reason, ""
	case direct.wrong != "":
		return "", fmt.Sprintf("%s; without the gateway: %s", through.wrong, direct.wrong)
	}
	return "", through.wrong
}

// unlike compares an answer with the one that came without the gateway.
func unlike(direct, through got, apart []string) string {
	perConnection := []string{"Date", "Connection", "Keep-Alive"}
	without := func(header map[string][]string) map[string][]string {
		rest := map[string][]string{}
		for name, values := range header {
			if !slices.Contains(perConnection, name) && !slices.Contains(apart, name) && !strings.HasPrefix(name, "X-Forwarded-") && name != "X-Real-Ip" {
				rest[name] = values
			}
		}
		return rest
	}
	if through.status != direct.status || (through.err == nil) != (direct.err == nil) {
		return fmt.Sprintf("%d, %v; directly %d, %v", through.status, through.err, direct.status, direct.err)
	}
	if a, b := without(through.header), without(direct.header); !reflect.DeepEqual(a, b) && through.saw == nil {
		return fmt.Sprintf("header %q; directly %q", a, b)
	}
	if !reflect.DeepEqual(through.trailer, direct.trailer) {
		return fmt.Sprintf("trailers %q; directly %q", through.trailer, direct.trailer)
	}
	if through.err != nil {
		return ""
	}
	if through.saw == nil || direct.saw == nil {
		if !bytes.Equal(through.body, direct.body) {
			return fmt.Sprintf("body of %d bytes, %.60q; directly %d bytes, %.60q", len(through.body), through.body, len(direct.body), direct.body)
		}
		return ""
	}
	a, b := *through.saw, *direct.saw
	a.Header, b.Header = without(a.Header), without(b.Header)
	if slices.Contains(apart, "Content-Length") {
		a.Length = b.Length
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Sprintf("the origin saw %+v; directly %+v", a, b)
	}
	return ""
}

// table is the result, with the reasons as footnotes.
type table struct {
	head    string
	width   int
	lines   []string
	reasons []string
	counts  map[string]int // by fine, WRONG, or a name
}

func newTable(columns []*column) *table {
	t := &table{counts: map[string]int{}, width: 46}
	for _, c := range columns {
		for _, l := range c.through {
			t.head += fmt.Sprintf(" %-11s", c.name+strings.TrimPrefix(l.proto, "HTTP"))
		}
	}
	return t
}

func (t *table) add(name string, cells []string) {
	line := name + strings.Repeat(" ", max(0, t.width-utf8.RuneCountInString(name)))
	for _, cell := range cells {
		word := cell
		switch cell {
		case "":
			word = "ok"
			t.counts["ok"]++
		case "WRONG":
			t.counts["WRONG"]++
		default:
			if !slices.Contains(t.reasons, cell) {
				t.reasons = append(t.reasons, cell)
			}
			word = fmt.Sprintf("(%d)", slices.Index(t.reasons, cell)+1)
			t.counts["named"]++
		}
		line += fmt.Sprintf(" %-11s", word)
	}
	t.lines = append(t.lines, strings.TrimRight(line, " "))
}

func (t *table) text() string {
	out := strings.TrimRight(strings.Repeat(" ", t.width)+t.head, " ") + "\n" + strings.Join(t.lines, "\n") + "\n\n"
	for i, reason := range t.reasons {
		out += fmt.Sprintf("(%d) %s\n", i+1, reason)
	}
	out += fmt.Sprintf("\n%d features", len(t.lines))
	for _, word := range slices.Sorted(maps.Keys(t.counts)) {
		out += fmt.Sprintf(", %d cells %s", t.counts[word], word)
	}
	return out + "\n"
}
