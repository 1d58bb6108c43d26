package certs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
)

func TestLoggerIntoZerolog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newLogger(zerolog.New(&out))
	named := log.Named("renew").With(zap.String("identifier", "shop.example"))
	named.Debug("d")
	named.Info("i")
	named.Error("could not get certificate from issuer", zap.Error(errors.New("no \"luck\"\nat all")),
		zap.Duration("retrying_in", 90*time.Second))
	named.Warn("w", zap.Strings("names", []string{"a", "b"}), zap.Int("attempt", 2))
	// Noise.
	named.Error("job failed", zap.Error(errors.New("as reported before")))
	named.Warn("ARI window or selected renewal time changed")
	named.Error("will retry", zap.Error(fmt.Errorf("order: %w", context.Canceled)))
	log.stop()
	named.Error("too late")

	want := []map[string]any{
		{"level": "error", "part": "renew", "identifier": "shop.example", "error": "no \"luck\"\nat all",
			"retrying_in_seconds": 90.0,
			"message":             "could not get certificate from issuer"},
		{"level": "warn", "part": "renew", "identifier": "shop.example", "names": []any{"a", "b"}, "attempt": 2.0,
			"message": "w"},
	}
	var got []map[string]any
	for line := range strings.Lines(out.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%q: got %v, want JSON", line, err)
		}
		got = append(got, fields)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestLoggerIntoNothing(t *testing.T) {
	t.Parallel()
	newLogger(zerolog.Logger{}).Error("ignored", zap.Error(errors.New("x")))
	if core := newLogger(zerolog.Nop()); core.core.Enabled(zap.ErrorLevel) {
		t.Error("a disabled logger: got that it is enabled, want not")
	}
}

func TestLoggerRespectsTheLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newLogger(zerolog.New(&out).Level(zerolog.ErrorLevel))
	log.Warn("w")
	if out.Len() > 0 {
		t.Errorf("got %s, want nothing", out.String())
	}
}
