package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gate421/gate/hint"
	"gate421/gate/server/servertest"
)

// A scenario is a file of testdata/scenarios. It begins with words for people. A line that begins at the margin with
// one of the words below is a step, and what is indented belongs to it. Steps are taken in their order; the gateway
// starts before the first step that needs one.
//
//	config          the indented text is the configuration; see servertest.Env.Write for what it may leave out
//	state NAME      the indented text is a file of the state folder; $ago:5m is the time then
//	dns             the indented lines are told to the DNS server; see servertest.DNS.Apply
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
//	  record k=v …  the request's line in the decision log has these values, their spaces as "_";
//	                "k=": there is no k, "k=v*": v begins it
//	  unrecorded    there is no line
//
// $long:100 is a word of so many letters, $port that of the https listener. A request without record has its line all
// the same. When all is done the gateway is stopped, and the whole log has to be in order; see servertest.Log.
func TestScenarios(t *testing.T) {
	t.Parallel()
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
			s := newProgram(t)
			for _, step := range steps {
				s.take(t, file, step)
			}
			if t.Failed() {
				t.Logf("the decision log: %v\nstderr: %s", s.Log.Lines, s.Stderr)
			}
			s.close()
			s.Log.Poll()
			s.Log.CheckOrder(!s.Late && !strings.Contains(string(text), "\nstdout "))
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
	text = regexp.MustCompile(`127\.\d+\.\d+\.\d+`).ReplaceAllStringFunc(text, servertest.Local)
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

func (p *program) take(t *testing.T, file string, step scene) {
	t.Helper()
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s:%d: %s %s: %s", file, step.line, step.verb, step.rest, fmt.Sprintf(format, args...))
	}
	switch step.verb {
	case "config":
		p.Write(strings.Join(step.indented, "\n"))
		return
	case "state":
		text := regexp.MustCompile(`\$ago:[0-9hms]+`).ReplaceAllStringFunc(strings.Join(step.indented, "\n"),
			func(word string) string {
				ago, err := time.ParseDuration(word[len("$ago:"):])
				if err != nil {
					wrong("%v", err)
				}
				return time.Now().Add(-ago).UTC().Format(time.RFC3339)
			})
		if err := os.WriteFile(filepath.Join(p.State(), step.rest), []byte(text), 0o600); err != nil {
			wrong("%v", err)
		}
		return
	case "dns":
		if err := p.DNS.Apply(step.indented); err != nil {
			wrong("%v", err)
		}
		return
	}
	if p.end == nil {
		p.start()
	}
	switch step.verb {
	case "stdout":
		p.Stdout.Set(step.rest)
		if step.rest == "well" {
			p.WaitFor("the log takes lines again", func() bool {
				said := p.Stderr.String()
				return strings.Count(said, " takes no lines: ") == strings.Count(said, "the decision log takes lines again")
			})
		}
	case "run":
		out, _, err := quiet(t.Context(), append(strings.Fields(step.rest), "--config", p.File), "")
		if err != nil {
			wrong("%s", hint.Message(err))
		}
		for _, line := range step.indented {
			if text, _ := strings.CutPrefix(line, "says "); !strings.Contains(out, text) {
				wrong("does not say %q but %q", text, out)
			}
		}
	case "log":
		p.Log.Wait(servertest.Fields(step.rest))
	case "kept":
		name, text, _ := strings.Cut(step.rest, " ")
		p.WaitFor(step.rest, func() bool {
			got, err := os.ReadFile(filepath.Join(p.State(), name))
			return err == nil && strings.Contains(string(got), text)
		})
	default:
		p.request(step, wrong)
	}
}

// request makes the request of a step and compares what came of it.
func (p *program) request(step scene, wrong func(string, ...any)) {
	p.T.Helper()
	c := servertest.Call{Method: step.verb, URL: step.rest, From: "127.0.0.1", Proto: "HTTP/2.0",
		Agent: servertest.Browser, Header: http.Header{}}
	var expectations []string
	_, port, _ := net.SplitHostPort(p.HTTPS)
	for _, line := range step.indented {
		verb, rest, _ := strings.Cut(strings.ReplaceAll(line, "$port", port), " ")
		switch verb {
		case "from":
			words := regexp.MustCompile(`^(\S+) over HTTP/([12])\S* as (.+)$`).FindStringSubmatch(rest)
			if words == nil {
				wrong("%q is not understood", line)
				return
			}
			c.From, c.Proto, c.Agent = words[1], map[string]string{"1": "HTTP/1.1", "2": "HTTP/2.0"}[words[2]],
				servertest.Agent(words[3])
		case "introduced":
			c.Introduced = rest
		case "sni":
			c.SNI = rest
		case "send":
			name, value, _ := strings.Cut(rest, ": ")
			c.Header.Set(name, value)
		case "body":
			c.Body = rest
		default:
			expectations = append(expectations, verb+" "+rest)
		}
	}
	var got servertest.Reply
	var record map[string]any
	if slices.Contains(step.indented, "unrecorded") {
		got = p.Do(p.T.Context(), c)
	} else {
		got, record = p.Recorded(c)
	}
	if got.Status != 0 && got.Proto != c.Proto {
		wrong("answered over %s", got.Proto)
	}
	for _, line := range expectations {
		if problem := differs(got, line, record); problem != "" {
			wrong("%s: %s", line, problem)
		}
	}
}

// differs says what of an expectation a reply and its record do not meet; "" nothing.
func differs(r servertest.Reply, line string, record map[string]any) string {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "answer":
		got := strconv.Itoa(r.Status)
		switch {
		case r.Err != nil && rest == "cut":
			got = "cut"
		case r.Status == 0:
			got = "none"
		}
		if got != rest {
			return fmt.Sprintf("it was %q, error %v, body %q", got, r.Err, r.Body)
		}
	case "header":
		name, value, _ := strings.Cut(rest, ":")
		if got := r.Header.Get(name); got != strings.TrimSpace(value) {
			return fmt.Sprintf("it was %q", got)
		}
	case "text":
		whole := errors.Join(errors.New(r.Body), r.Err).Error()
		if rest == "nothing" && r.Body != "" || rest != "nothing" && !strings.Contains(whole, rest) {
			return fmt.Sprintf("it was %q", whole)
		}
	case "took":
		which, limit, _ := strings.Cut(rest, " ")
		d, err := time.ParseDuration(limit)
		if err != nil || which == "under" && r.Took >= d || which == "over" && r.Took <= d {
			return fmt.Sprintf("it took %v %v", r.Took, err)
		}
	case "record":
		if want := servertest.Fields(rest); !maps.Equal(servertest.Only(record, want), want) {
			return fmt.Sprintf("it has %v in %v", servertest.Only(record, want), record)
		}
	case "unrecorded":
	default:
		return "is not understood"
	}
	return ""
}
