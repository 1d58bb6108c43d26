package main

import "io"

// paint colours text by what it means, on a terminal only.
func paint(w io.Writer, meaning, text string) string {
	if !terminal(w) {
		return text
	}
	colour := map[string]string{"genuine": "32", "ok": "32", "impostor": "33", "unknown": "33", "note": "33", "bad": "31", "quiet": "2", "refuse": "35"}[meaning]
	if colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
