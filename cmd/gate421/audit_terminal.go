package main

import (
	"bytes"
	"io"
	"os"

	"gate421/cmd/gate421/terminal"
)

// forReader is where the decision log goes that is written to standard output: to a terminal, where a person reads it,
// one readable line a record, as audit tail prints it; to anything else the records themselves.
func forReader(stdout io.Writer) io.Writer {
	if f, ok := stdout.(*os.File); ok && terminal.Is(f) {
		return rows{f}
	}
	return stdout
}

// rows writes the lines of a decision log as a person reads them. Every Write has to be of whole lines.
type rows struct{ to io.Writer }

// Write writes all rows at once. Of a write that fails nothing counts: rows are not as long as their lines.
func (r rows) Write(lines []byte) (int, error) {
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
