// Package terminal answers one question: what does a person at a terminal see that a script does not?
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Is says whether a file is a terminal.
func Is(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// Interactive says whether colour and progress are wanted on w: on a terminal, unless NO_COLOR or TERM=dumb say
// otherwise.
func Interactive(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(f)
}

// Paint colours text by what it means, where colour is wanted.
func Paint(w io.Writer, meaning, text string) string {
	if !Interactive(w) {
		return text
	}
	colour := map[string]string{
		"genuine": "32", "ok": "32", "impostor": "33", "unknown": "33", "note": "33", "bad": "31", "quiet": "2",
		"refuse": "35",
	}[meaning]
	if colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// Width is that of a terminal, 100 columns of anything else.
func Width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 100
}
