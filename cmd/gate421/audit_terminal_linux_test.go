package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal opens a terminal: what is written to one end is read at the other.
func openTerminal(t *testing.T) (reader, writer *os.File) {
	t.Helper()
	reader, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	number := -1
	raw, err := reader.SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) {
			if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
				number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	writer, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { writer.Close() })
	return reader, writer
}

// A person at a terminal gets one readable line a decision, and a pipe gets the records.
func TestDecisionsOnATerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "1") // says nothing about the form
	const line = `{"v":1,"time":"2026-11-20T12:00:00.000000Z","boot":"b","seq":1,"event":"decision","site":"shop.test","host":"shop.test","path":"/a\u001b[2J","proto":"HTTP/2.0",` +
		`"client_ip":"192.0.2.1","claim":"googlebot","verdict":"genuine","action":"refuse","reason":"refused","status":421}` + "\n"
	const event = `{"v":1,"time":"2026-11-20T12:00:01.000000Z","boot":"b","seq":2,"event":"guard","site":"shop.test","what":"tripped"}` + "\n"
	reader, writer := openTerminal(t)
	n, err := logOutput(writer).Write([]byte("\n" + line + event))
	if n != 1+len(line)+len(event) || err != nil {
		t.Errorf("took %d bytes, %v; want all %d", n, err, 1+len(line)+len(event))
	}
	in := bufio.NewReader(reader)
	for _, want := range []string{
		`2026-11-20T12:00:00.000Z  shop.test/a\x1b[2J  HTTP/2.0  192.0.2.1  googlebot genuine  refused  421`,
		`2026-11-20T12:00:01.000Z  guard  site=shop.test  what=tripped`,
	} {
		if got, err := in.ReadString('\n'); strings.TrimSpace(got) != want {
			t.Errorf("the terminal got %q, %v; want %q", got, err, want)
		}
	}
	piped, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer piped.Close()
	if _, err := logOutput(pipe).Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	var got bytes.Buffer
	if got.ReadFrom(piped); got.String() != line {
		t.Errorf("the pipe got %q, want the record as it is", got.String())
	}
}
