package audit

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// encoder turns records into the members of a line behind seq. It is its own zerolog writer: an event's bytes arrive in
// line synchronously, so that one encoder serves one line at a time.
type encoder struct {
	logger zerolog.Logger
	line   []byte
	cut    []string
}

func newEncoder() *encoder {
	e := &encoder{}
	e.logger = zerolog.New(e)
	return e
}

// Write receives the finished JSON object of an event.
func (e *encoder) Write(object []byte) (int, error) {
	e.line = append(e.line[:0], object...)
	return len(object), nil
}

func (e *encoder) decision(r *Record, ip string) []byte {
	e.cut = e.cut[:0]
	ev := e.logger.Log().Str("event", "decision")
	text := func(name, value string, bound int) {
		if value != "" {
			ev.Str(name, e.bounded(name, value, bound))
		}
	}
	text("site", r.Site, maxName)
	text("host", r.Host, maxName)
	text("method", r.Method, maxWord)
	text("path", r.Path, maxPath)
	text("proto", r.Proto, maxWord)
	text("alpn", r.ALPN, maxWord)
	text("sni", r.SNI, maxName)
	text("client_ip", ip, maxWord)
	text("agent", r.Agent, maxAgent)
	text("claim", r.Claim, maxWord)
	text("verdict", r.Verdict, maxWord)
	text("verdict_source", r.VerdictSource, maxWord)
	text("verdict_cause", r.VerdictCause, maxWord)
	text("ptr", r.PTR, maxName)
	seconds(ev, "verify_seconds", r.Verify)
	text("rule", r.Rule, maxPath)
	text("state", r.State, maxWord)
	text("action", r.Action, maxWord)
	text("reason", r.Reason, maxWord)
	text("would", r.Would, maxWord)
	if r.Status != 0 {
		ev.Int("status", r.Status)
	}
	if r.BytesOut != 0 {
		ev.Int64("bytes_out", r.BytesOut)
	}
	seconds(ev, "seconds", r.Took)
	text("origin", r.Origin, maxName)
	if r.OriginStatus != 0 {
		ev.Int("origin_status", r.OriginStatus)
	}
	seconds(ev, "origin_seconds", r.OriginTook)
	text("origin_error", r.OriginError, maxWord)
	text("request_id", r.RequestID, maxWord)
	text("config", r.Config, maxWord)
	if len(e.cut) > 0 {
		ev.Strs("cut", e.cut)
	}
	ev.Send()
	return e.line
}

func (e *encoder) event(event string, fields Fields) []byte {
	ev := e.logger.Log().Str("event", event)
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch v := fields[name].(type) {
		case time.Time:
			if !v.IsZero() {
				ev.Str(name, v.UTC().Format(time.RFC3339))
			}
		case string:
			if v != "" {
				ev.Str(name, v)
			}
		default:
			ev.Interface(name, v)
		}
	}
	ev.Send()
	return e.line
}

// bounded cuts a value at its bound, between characters, and notes that it did.
func (e *encoder) bounded(name, value string, bound int) string {
	if strings.ContainsFunc(value, deceives) {
		value = strings.Map(func(r rune) rune {
			if deceives(r) {
				return utf8.RuneError
			}
			return r
		}, value)
	}
	if len(value) <= bound {
		return value
	}
	e.cut = append(e.cut, name)
	for back := 0; back < utf8.UTFMax && !utf8.RuneStart(value[bound]); back++ {
		bound--
	}
	return value[:bound]
}

// deceives says whether a character beyond ASCII moves a terminal's cursor, ends a line or turns the direction of what
// follows; JSON lets them stand. They are replaced.
func deceives(r rune) bool {
	return r >= 0x80 && (r <= 0x9f || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069)
}

func seconds(ev *zerolog.Event, name string, d time.Duration) {
	if d > 0 {
		ev.Float64(name, math.Round(d.Seconds()*1e6)/1e6)
	}
}
