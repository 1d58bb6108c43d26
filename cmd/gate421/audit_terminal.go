package main

import (
	"bytes"
	"io"
	"os"

	"gate421/cmd/gate421/terminal"
)

// logOutput is where a decision log on standard output goes: on a terminal one readable line a record, as audit tail
// prints it; anything else gets the records themselves.
func logOutput(stdout io.Writer) io.Writer {
	if f, ok := stdout.(*os.File); ok && terminal.Is(f) {
		return rowWriter{f}
	}
	return stdout
}

// rowWriter writes the lines of a decision log as a person reads them. Every Write has to be of whole lines.
type rowWriter struct{ to io.Writer }

// Write writes all rows at once. A write that fails counts as 0 bytes: rows are not as long as their lines.
func (r rowWriter) Write(lines []byte) (int, error) {
	var out bytes.Buffer
	for line := range bytes.Lines(lines) {
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 {
			out.WriteString(row(membersOf(line)))
			out.WriteByte('\n')
		}
	}
	if _, err := r.to.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(lines), nil
}
