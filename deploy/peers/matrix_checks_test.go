//go:build peers

package peers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The checks that the rows are made of.

func status(want int) judge {
	return func(_ *lane, g got) string {
		if g.status != want || g.err != nil {
			return fmt.Sprintf("status %d, error %v, want %d", g.status, g.err, want)
		}
		return ""
	}
}

// field is a field of the answer with all its values; no value means that there is no such field.
func field(name string, want ...string) judge {
	return func(_ *lane, g got) string { return same("answer's "+name, g.header[name], want) }
}

func trailer(name string, want ...string) judge {
	return func(_ *lane, g got) string { return same("answer's trailer "+name, g.trailer[name], want) }
}

func body(want string) judge {
	return func(_ *lane, g got) string {
		if g.err != nil || string(g.body) != want {
			return fmt.Sprintf("body of %d bytes, %.60q, error %v, want %d, %.60q", len(g.body), g.body, g.err, len(want), want)
		}
		return ""
	}
}

// broken holds if the client can see that it has not got everything.
func broken(_ *lane, g got) string {
	if g.err == nil {
		return fmt.Sprintf("%d with %d bytes, as if it was whole", g.status, len(g.body))
	}
	return ""
}

// arrived looks at what the origin saw.
func arrived(look func(*lane, saw) string) judge {
	return func(l *lane, g got) string {
		if g.status != http.StatusOK || g.saw == nil {
			return fmt.Sprintf("status %d, error %v, body %.60q, and nothing of what the origin saw", g.status, g.err, g.body)
		}
		return look(l, *g.saw)
	}
}

// line is the request line that the origin saw.
func line(method, target string) judge {
	return arrived(func(_ *lane, s saw) string {
		return same("request line", []string{s.Method, s.Target}, []string{method, target})
	})
}

// header is a field that the origin saw, with all its values.
func header(name string, want ...string) judge {
	return arrived(func(_ *lane, s saw) string { return same("request's "+name, s.Header[name], want) })
}

// content is the body that the origin saw; length is what it was told, -1 for nothing or the right one.
func content(length int64, body []byte) judge {
	return arrived(func(_ *lane, s saw) string {
		sum := sha256.Sum256(body)
		if s.Length != length && (length >= 0 || s.Length != int64(len(body))) || s.Sum != hex.EncodeToString(sum[:]) {
			return fmt.Sprintf("the origin was told %d bytes and got the ones with sum %s, want %d and %x", s.Length, s.Sum, length, sum)
		}
		return ""
	})
}

func same(what string, got, want []string) string {
	if !slices.Equal(got, want) {
		return fmt.Sprintf("%s %q, want %q", what, got, want)
	}
	return ""
}

func whole(want []byte) judge {
	return func(_ *lane, g got) string {
		if g.err != nil || !bytes.Equal(g.body, want) {
			return fmt.Sprintf("%d of %d bytes, error %v", len(g.body), len(want), g.err)
		}
		return ""
	}
}

// telling is the target of an answer as the app is told: name=value of app.say's form, and "Name: value" for fields.
func telling(what ...string) string {
	form := url.Values{}
	for _, w := range what {
		if name, value, ok := strings.Cut(w, "="); ok && len(name) == 1 {
			form.Add(name, value)
		} else {
			form.Add("h", w)
		}
	}
	return "/say?" + form.Encode()
}

// fields makes a header of names and values in turn.
func fields(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}
