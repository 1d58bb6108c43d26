package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A scenario is a file of testdata/scenarios. It begins with words for people. A line that begins at the margin with one
// of the words below is a step, and what is indented belongs to it. Steps are taken in their order; the gateway starts
// before the first step that needs one.
//
//	config          the indented text is the configuration; see setting.write for what it may leave out
//	state NAME      the indented text is a file of the state folder; $ago:5m is the time then
//	dns             the indented lines are told to the nameserver; see nameserver.tell
//	stdout STATE    full, stuck or well
//	run WORDS       runs another command with this configuration
//	  says TEXT     its output has this
//	log k=v …       waits for a line of the decision log
//	kept NAME TEXT  waits until that file of the state folder has this text
//	GET URL         (or HEAD, or POST) makes a request, on a connection of its own
//	  from ADDRESS over PROTOCOL as AGENT
//	  introduced ADDRESS  by a load balancer, in a PROXY header
//	  sni NAME      in the handshake
//	  send NAME: VALUE, or body TEXT
//	  answer STATUS, or none, or cut: the client can tell that it did not get a whole answer
//	  header NAME: VALUE, or with nothing behind the colon: there is none
//	  text TEXT     is in the answer's body or in the error; "text nothing": the body is empty
//	  took under|over DURATION
//	  record k=v …  the request's line in the decision log has these values, their spaces as "_"; "k=": there is no k, "k=v*": v begins it
//	  unrecorded    there is no line
//
// $long:100 is a word of so many letters, $port that of the https listener. A request without record has its line all the
// same. When all is done the gateway is stopped, and the whole log has to be in order; see inOrder.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			steps := stepsOf(t, string(text))
			s := newSetting(t)
			for _, step := range steps {
				s.take(t, file, step)
			}
			if t.Failed() {
				t.Logf("the decision log: %v\nstderr: %s", s.log.lines, s.trouble)
			}
			s.close()
			s.log.poll()
			inOrder(t, s.log, !s.late && !strings.Contains(string(text), "\nstdout "))
		})
	}
}

// scene is one step of a scenario.
type scene struct {
	line     int
	verb     string
	rest     string
	indented []string
}

func stepsOf(t *testing.T, text string) []scene {
	t.Helper()
	verb := regexp.MustCompile(`^(config|state|dns|stdout|run|log|kept|GET|HEAD|POST)( (\S.*))?$`)
	text = regexp.MustCompile(`127\.\d+\.\d+\.\d+`).ReplaceAllStringFunc(text, local)
	text = regexp.MustCompile(`\$long:\d+`).ReplaceAllStringFunc(text, func(word string) string {
		n, _ := strconv.Atoi(word[len("$long:"):])
		return strings.Repeat("x", n)
	})
	var steps []scene
	for i, line := range strings.Split(text, "\n") {
		switch found := verb.FindStringSubmatch(line); {
		case strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "  ") && len(steps) > 0:
			last := &steps[len(steps)-1]
			last.indented = append(last.indented, line[2:])
		case found != nil:
			steps = append(steps, scene{line: i + 1, verb: found[1], rest: found[3]})
		case len(steps) > 0:
			t.Fatalf("line %d: %q is no step", i+1, line)
		}
	}
	return steps
}

func (s *setting) take(t *testing.T, file string, step scene) {
	t.Helper()
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s:%d: %s %s: %s", file, step.line, step.verb, step.rest, fmt.Sprintf(format, args...))
	}
	switch step.verb {
	case "config":
		s.write(strings.Join(step.indented, "\n"))
		return
	case "state":
		text := regexp.MustCompile(`\$ago:[0-9hms]+`).ReplaceAllStringFunc(strings.Join(step.indented, "\n"), func(word string) string {
			ago, err := time.ParseDuration(word[len("$ago:"):])
			if err != nil {
				wrong("%v", err)
			}
			return time.Now().Add(-ago).UTC().Format(time.RFC3339)
		})
		if err := os.WriteFile(filepath.Join(s.state(), step.rest), []byte(text), 0o600); err != nil {
			wrong("%v", err)
		}
		return
	case "dns":
		if err := s.dns.tell(step.indented); err != nil {
			wrong("%v", err)
		}
		return
	}
	if s.gateway == nil {
		s.open()
	}
	switch step.verb {
	case "stdout":
		s.stdout.become(step.rest)
		if step.rest == "well" {
			s.waitFor("the log takes lines again", s.gateway.log.Ready)
		}
	case "run":
		out, _, err := quiet(t.Context(), append(strings.Fields(step.rest), "--config", s.file), "")
		if err != nil {
			wrong("%s", message(err))
		}
		for _, line := range step.indented {
			if text, _ := strings.CutPrefix(line, "says "); !strings.Contains(out, text) {
				wrong("does not say %q but %q", text, out)
			}
		}
	case "log":
		s.log.wait(fields(step.rest))
	case "kept":
		name, text, _ := strings.Cut(step.rest, " ")
		s.waitFor(step.rest, func() bool {
			got, err := os.ReadFile(filepath.Join(s.state(), name))
			return err == nil && strings.Contains(string(got), text)
		})
	default:
		s.request(step, wrong)
	}
}

func (s *setting) waitFor(what string, holds func() bool) {
	s.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// request makes the request of a step and compares what came of it.
func (s *setting) request(step scene, wrong func(string, ...any)) {
	s.t.Helper()
	c := call{method: step.verb, url: step.rest, from: "127.0.0.1", proto: "HTTP/2.0", agent: browserAgent, header: http.Header{}}
	var expectations []string
	for _, line := range step.indented {
		verb, rest, _ := strings.Cut(strings.ReplaceAll(line, "$port", port(s.gateway.secure)), " ")
		switch verb {
		case "from":
			words := regexp.MustCompile(`^(\S+) over HTTP/([12])\S* as (.+)$`).FindStringSubmatch(rest)
			if words == nil {
				wrong("%q is not understood", line)
				return
			}
			c.from, c.proto, c.agent = words[1], map[string]string{"1": "HTTP/1.1", "2": "HTTP/2.0"}[words[2]], agentOf(words[3])
		case "introduced":
			c.introduced = rest
		case "sni":
			c.sni = rest
		case "send":
			name, value, _ := strings.Cut(rest, ": ")
			c.header.Set(name, value)
		case "body":
			c.body = rest
		default:
			expectations = append(expectations, verb+" "+rest)
		}
	}
	var got reply
	var record map[string]any
	if slices.Contains(step.indented, "unrecorded") {
		got = s.do(s.t.Context(), c)
	} else {
		got, record = s.recorded(c)
	}
	if got.status != 0 && got.proto != c.proto {
		wrong("answered over %s", got.proto)
	}
	for _, line := range expectations {
		if problem := got.differs(line, record); problem != "" {
			wrong("%s: %s", line, problem)
		}
	}
}

// differs says what of an expectation a reply and its record do not meet; "" nothing.
func (r reply) differs(line string, record map[string]any) string {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "answer":
		got := strconv.Itoa(r.status)
		switch {
		case r.err != nil && rest == "cut":
			got = "cut"
		case r.status == 0:
			got = "none"
		}
		if got != rest {
			return fmt.Sprintf("it was %q, error %v, body %q", got, r.err, r.body)
		}
	case "header":
		name, value, _ := strings.Cut(rest, ":")
		if got := r.header.Get(name); got != strings.TrimSpace(value) {
			return fmt.Sprintf("it was %q", got)
		}
	case "text":
		whole := errors.Join(errors.New(r.body), r.err).Error()
		if rest == "nothing" && r.body != "" || rest != "nothing" && !strings.Contains(whole, rest) {
			return fmt.Sprintf("it was %q", whole)
		}
	case "took":
		which, limit, _ := strings.Cut(rest, " ")
		d, err := time.ParseDuration(limit)
		if err != nil || which == "under" && r.took >= d || which == "over" && r.took <= d {
			return fmt.Sprintf("it took %v %v", r.took, err)
		}
	case "record":
		if want := fields(rest); !maps.Equal(only(record, want), want) {
			return fmt.Sprintf("it has %v in %v", only(record, want), record)
		}
	case "unrecorded":
	default:
		return "is not understood"
	}
	return ""
}

// fields reads "k=v k=v".
func fields(text string) map[string]string {
	out := map[string]string{}
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		out[name] = value
	}
	return out
}

// inOrder holds a whole decision log to what is true of every one: numbered, without gaps where no line failed, up to
// stop; each request with one line; nobody refused without proof or over HTTP/1.x.
func inOrder(t *testing.T, l *logbook, gapless bool) {
	t.Helper()
	if len(l.lines) == 0 {
		t.Error("the decision log is empty")
		return
	}
	last := 0.0
	for i, line := range l.lines {
		seq, _ := line["seq"].(float64)
		ordered := seq > last && (!gapless || seq == last+1)
		last = seq
		if line["v"] != 1.0 || !ordered || line["boot"] != l.lines[0]["boot"] || line["time"] == nil {
			t.Errorf("line %d is not in order: %v", i+1, line)
		}
		if line["event"] != "decision" {
			continue
		}
		if !l.taken[i] {
			t.Errorf("line %d is of a request that nobody made: %v", i+1, line)
		}
		if line["reason"] == "refused" && (line["verdict"] != "genuine" || line["action"] != "refuse" || line["status"] != 421.0) {
			t.Errorf("line %d refuses somebody who is not proven, or otherwise than with 421: %v", i+1, line)
		}
		if line["status"] == 421.0 && line["proto"] != "HTTP/2.0" {
			t.Errorf("line %d has 421 over %v", i+1, line["proto"])
		}
	}
	if end := l.lines[len(l.lines)-1]; end["event"] != "stop" {
		t.Errorf("the log ends with %v, not with stop", end)
	}
}
