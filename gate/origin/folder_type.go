package origin

import (
	"bytes"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// lookedAt is how much of a text is looked at. A page has to say what it is written in within its first 1 KiB (HTML
// section 4.2.5.4); more is looked at for those that do not.
const (
	lookedAt     = 16 << 10
	lookedAtHTML = 4 << 10
)

// contentType is a file's media type, by its name or else its beginning. A text gets charset=utf-8 only where it is
// UTF-8, as far as it was looked at, and says nothing else of itself: the field would win over what the text says,
// and nobody could read it (RFC 9110 section 8.3.2).
func (f *folder) contentType(name string, file *os.File) string {
	kind := mime.TypeByExtension(filepath.Ext(name))
	if kind != "" && !strings.Contains(kind, "charset=") {
		return kind
	}
	lent, _ := f.beginnings.Get().(*[lookedAt]byte)
	if lent == nil {
		lent = new([lookedAt]byte)
	}
	defer f.beginnings.Put(lent)
	n, _ := file.ReadAt(lent[:], 0)
	text := lent[:n]
	if kind == "" {
		kind = http.DetectContentType(text)
	}
	plain, _, said := strings.Cut(kind, "; charset=")
	if !said || isUTF8(plain, text) {
		return kind
	}
	return plain
}

// isUTF8 says whether a text, of which this is the beginning, is to be read as UTF-8.
func isUTF8(kind string, text []byte) bool {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return true
	case bytes.HasPrefix(text, []byte("\xfe\xff")), bytes.HasPrefix(text, []byte("\xff\xfe")):
		return false // UTF-16
	}
	switch label := strings.ToLower(declared(kind, text)); label {
	case "utf-8", "utf8":
		return true
	case "":
	default:
		return false
	}
	if len(text) == lookedAt { // its last character may be cut
		for range utf8.UTFMax - 1 {
			if r, size := utf8.DecodeLastRune(text); r != utf8.RuneError || size != 1 {
				break
			}
			text = text[:len(text)-1]
		}
	}
	return utf8.Valid(text) && bytes.IndexByte(text, 0) < 0
}

// declared is the encoding that a text says it is in, "" where it says none: XML in its declaration (XML 1.0 section
// 2.8), CSS in @charset (CSS Syntax section 3.2), HTML in a meta element.
func declared(kind string, text []byte) string {
	if rest, ok := bytes.CutPrefix(text, []byte("<?xml")); ok {
		declaration, _, _ := bytes.Cut(rest, []byte("?>"))
		if label := labelled(declaration, "encoding"); label != "" {
			return label
		}
	}
	switch kind {
	case "text/css":
		if rest, ok := bytes.CutPrefix(text, []byte(`@charset "`)); ok {
			label, _, _ := bytes.Cut(rest, []byte(`"`))
			return string(label)
		}
	case "text/html":
		return declaredByMeta(bytes.ToLower(text[:min(len(text), lookedAtHTML)]))
	}
	return ""
}

// declaredByMeta looks for <meta charset="…"> and <meta http-equiv="content-type" content="text/html; charset=…">.
func declaredByMeta(lower []byte) string {
	for {
		start := bytes.IndexByte(lower, '<')
		if start < 0 {
			return ""
		}
		lower = lower[start:]
		if bytes.HasPrefix(lower, []byte("<!--")) {
			if _, lower, _ = bytes.Cut(lower, []byte("-->")); lower == nil {
				return ""
			}
			continue
		}
		tag, rest, _ := bytes.Cut(lower, []byte(">"))
		if bytes.HasPrefix(tag, []byte("<meta")) {
			if label := labelled(tag, "charset"); label != "" {
				return label
			}
		}
		lower = rest
	}
}

// labelled is the value of name="value" or name=value.
func labelled(text []byte, name string) string {
	_, rest, found := bytes.Cut(text, []byte(name))
	if rest = bytes.TrimLeft(rest, " \t\r\n\f"); !found || len(rest) == 0 || rest[0] != '=' {
		return ""
	}
	rest = bytes.TrimLeft(rest[1:], " \t\r\n\f\"'")
	if end := bytes.IndexAny(rest, " \t\r\n\f\"';>/"); end >= 0 {
		rest = rest[:end]
	}
	return string(rest)
}
