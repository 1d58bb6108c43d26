package hint

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"gate421/gate/config"
)

func TestMessage(t *testing.T) {
	plain := errors.New("it broke")
	for _, test := range []struct {
		err  error
		want string
	}{
		{plain, "gate421: it broke"},
		{Add(plain, "mend %s", "it"), "gate421: it broke\nhint: mend it"},
		{fmt.Errorf("again: %w", Add(plain, "mend it")), "gate421: again: it broke\nhint: mend it"},
		{errors.New("gate421: it broke"), "gate421: it broke"},
		{config.Problems{{Message: "a"}}, "gate421: the configuration has 1 problem\na"},
		{config.Problems{{Message: "a"}, {Message: "b", Hint: "c"}},
			"gate421: the configuration has 2 problems\na\nb\nhint: c"},
	} {
		if got := Message(test.err); got != test.want {
			t.Errorf("%#v reads\n%s\nwant\n%s", test.err, got, test.want)
		}
	}
	if !errors.Is(Add(plain, "mend it"), plain) {
		t.Error("an error with a hint has lost its cause")
	}
}

func TestCause(t *testing.T) {
	for _, err := range []error{
		&fs.PathError{Op: "open", Path: "/x", Err: syscall.EACCES},
		&net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)},
		syscall.EACCES,
	} {
		if got := Cause(err); got != syscall.EACCES {
			t.Errorf("the cause of %v is %v, want %v", err, got, syscall.EACCES)
		}
	}
}

func TestShellWord(t *testing.T) {
	for text, wanted := range map[string]string{
		"/var/lib/gate421": "/var/lib/gate421", "shop.test": "shop.test", "*.example.org": "'*.example.org'",
		"/a folder": "'/a folder'",
		"":          "''", "/it's": `'/it'\''s'`,
	} {
		if got := ShellWord(text); got != wanted {
			t.Errorf("%q is written %s, not %s", text, got, wanted)
		}
	}
}
