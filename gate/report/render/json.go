package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"gate421/gate/report/analysis"
	"gate421/gate/visible"
)

// JSON writes a report as one indented JSON object. Characters that are hidden or act on a terminal are escaped.
func JSON(w io.Writer, r *analysis.Report) error {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return err
	}
	_, err := w.Write(escapeHidden(out.Bytes()))
	return err
}

// escapeHidden escapes what is hidden in a JSON text; between its strings there is nothing of that but line ends.
func escapeHidden(text []byte) []byte {
	risky := func(c rune) bool { return c != '\n' && visible.Hidden(c) }
	if !bytes.ContainsFunc(text, risky) {
		return text
	}
	var out []byte
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		switch {
		case !risky(c):
			out = append(out, text[:size]...)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		text = text[size:]
	}
	return out
}
