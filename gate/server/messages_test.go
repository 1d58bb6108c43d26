package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"gate421/gate/server/servertest"
)

// TestMessagesNeverWait writes to a pipe that nobody reads. What then comes out of it is the oldest messages in order,
// and how many are missing behind them.
func TestMessagesNeverWait(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		length, kept   int
		messages, lost int
	}{
		{"all find room", 50, 1000, 1000, 0},
		{"too many", 50, 1000, 5000, 4000},
		{"too large", 10 << 10, 25, 100, 75},
		{"one too long", 300 << 10, 3, 100, 97},
	} {
		t.Run(test.name, func(t *testing.T) {
			read, write, filled := servertest.FillPipe(t)
			m := &Messages{To: write}
			text := func(i int) string { return fmt.Sprintf("%06d %s\n", i, strings.Repeat("x", test.length-8)) }
			io.WriteString(m, text(0)) // is being written
			for len(queueOf(m)) > 0 {
				time.Sleep(time.Millisecond)
			}
			for i := 1; i < test.messages; i++ {
				if n, err := io.WriteString(m, text(i)); n != test.length || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
			}
			began := time.Now()
			m.Flush(10 * time.Millisecond)
			if took := time.Since(began); took > servertest.Patience {
				t.Errorf("a flush of 10 ms took %v", took)
			}
			var got bytes.Buffer
			done := make(chan struct{})
			go func() { defer close(done); io.Copy(&got, read) }()
			m.Flush(servertest.Patience)
			io.WriteString(m, "again\n")
			m.Flush(servertest.Patience)
			write.Close()
			<-done
			lines := strings.SplitAfter(got.String()[filled:], "\n")
			lines = lines[:len(lines)-1]
			want := min(test.kept, test.messages)
			if last := lines[len(lines)-1]; last != "again\n" {
				t.Errorf("the last message is %q", last)
			}
			lines = lines[:len(lines)-1]
			if test.lost > 0 {
				last := lines[len(lines)-1]
				if last != fmt.Sprintf("gate421: %d messages are missing here: standard error took none\n", test.lost) {
					t.Errorf("about the missing messages: %.100q", last)
				}
				lines = lines[:len(lines)-1]
			}
			if len(lines) != want {
				t.Errorf("%d messages, want %d", len(lines), want)
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, fmt.Sprintf("%06d ", i)) || len(line) > maxMessage+40 {
					t.Fatalf("message %d is %.20q…, %d bytes", i, line, len(line))
				}
			}
		})
	}
}

func queueOf(m *Messages) []queuedMessage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queue
}

// failing fails as often as it is told.
type failing struct {
	servertest.Transcript
	mu    sync.Mutex
	times int
}

func (f *failing) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.times > 0 {
		f.times--
		return 0, errors.New("broken pipe")
	}
	return f.Transcript.Write(p)
}

// TestMessagesThatFailAreCounted has a writer that fails: what is missing is said with the next message that it takes.
func TestMessagesThatFailAreCounted(t *testing.T) {
	f := &failing{times: 3} // two messages, and that they are missing
	m := &Messages{To: f}
	for _, text := range []string{"a\n", "b\n"} {
		io.WriteString(m, text)
		m.Flush(servertest.Patience)
	}
	io.WriteString(m, "c\n")
	m.Flush(servertest.Patience)
	io.WriteString(m, "d\n")
	m.Flush(servertest.Patience)
	want := "gate421: 2 messages are missing here: standard error took none\nc\nd\n"
	if got := f.String(); got != want && got != "c\n"+want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestMessagesOfManyAreWhole has many write at once.
func TestMessagesOfManyAreWhole(t *testing.T) {
	out := &servertest.Transcript{}
	m := &Messages{To: out}
	var writers sync.WaitGroup
	for range 20 {
		writers.Go(func() {
			for range 100 {
				io.WriteString(m, "a whole message\n")
				m.Flush(servertest.Patience)
			}
		})
	}
	writers.Wait()
	m.Flush(servertest.Patience)
	if got := strings.Count(out.String(), "a whole message\n"); got != 2000 {
		t.Errorf("%d messages came out, want 2000", got)
	}
}
