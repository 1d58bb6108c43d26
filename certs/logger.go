package certs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger is a zap logger, the kind that certmagic needs, which writes to a zerolog one.
type logger struct {
	*zap.Logger
	core *zapCore
}

func newLogger(to zerolog.Logger) logger {
	core := &zapCore{to: to, stopped: new(atomic.Bool)}
	return logger{Logger: zap.New(core), core: core}
}

// stop drops what certmagic's own goroutines still log: the writer may be closed by then.
func (l logger) stop() { l.core.stopped.Store(true) }

// zapCore passes entries of level warn and above on to a zerolog logger, one event each, with the fields in
// zerolog's form: a duration is a number of seconds and its name says so.
type zapCore struct {
	to      zerolog.Logger
	fields  []zapcore.Field
	stopped *atomic.Bool
}

func (z *zapCore) Enabled(level zapcore.Level) bool {
	return level >= zapcore.WarnLevel && !z.stopped.Load() && z.to.GetLevel() <= levelOf(level)
}

func (z *zapCore) With(fields []zapcore.Field) zapcore.Core {
	with := *z
	with.fields = append(append([]zapcore.Field(nil), z.fields...), fields...)
	return &with
}

func (z *zapCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if z.Enabled(entry.Level) && !isNoise(entry.Message) {
		return checked.AddCore(entry, z)
	}
	return checked
}

func (z *zapCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, list := range [][]zapcore.Field{z.fields, fields} {
		for _, field := range list {
			if err, ok := field.Interface.(error); ok && errors.Is(err, context.Canceled) {
				return nil // from Close, not a failure
			}
			field.AddTo(values)
		}
	}
	for name, value := range values.Fields {
		if d, ok := value.(time.Duration); ok {
			delete(values.Fields, name)
			values.Fields[name+"_seconds"] = d.Seconds()
		}
	}
	event := z.to.WithLevel(levelOf(entry.Level))
	if entry.LoggerName != "" {
		event = event.Str("part", entry.LoggerName)
	}
	event.Fields(values.Fields).Msg(entry.Message)
	return nil
}

func (z *zapCore) Sync() error { return nil }

// levelOf is never fatal or panic: what is fatal to certmagic is not fatal to the program.
func levelOf(level zapcore.Level) zerolog.Level {
	if level >= zapcore.ErrorLevel {
		return zerolog.ErrorLevel
	}
	return zerolog.WarnLevel
}

// isNoise reports whether a message says nothing that a reader can act on: renewal hints that many authorities do not
// give (the expiry date decides then), or an error that the line before it has reported.
func isNoise(message string) bool {
	switch message {
	case "job failed", "updating ARI", "failed updating renewal info from ACME CA",
		"failed getting renewal information", "stapling OCSP", "will retry", // our pauses count, not those it names
		"unable to get configuration to manage certificate; unable to renew": // before Manage
		return true
	}
	return strings.HasPrefix(message, "no renewal time had been selected") ||
		strings.HasPrefix(message, "ARI window or selected renewal time changed") ||
		strings.HasPrefix(message, "certificate is in emergency renewal window")
}
