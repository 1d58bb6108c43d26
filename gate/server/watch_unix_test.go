//go:build unix

package server

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A pipe, a folder or a file of gigabytes under the configuration's name is said, changes nothing, and keeps neither
// the next edit nor the end waiting.
func TestTheFileIsSomethingElseForAWhile(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"a pipe":            func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder":          func(path string) error { return os.Mkdir(path, 0o700) },
		"a device":          func(path string) error { return os.Symlink("/dev/zero", path) },
		"a link to nothing": func(path string) error { return os.Symlink("nothing", path) },
		"gigabytes": func(path string) error {
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Truncate(4 << 30)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
			s.attended(t, s.File)
			other, _ := s.texts(t)
			if err := os.Rename(s.File, s.File+".away"); err != nil {
				t.Fatal(err)
			}
			if err := put(s.File); err != nil {
				t.Fatal(err)
			}
			s.WaitFor("the file to be rejected", func() bool { return !s.gateway.lastReload.Load().Rejected.IsZero() })
			if why := s.gateway.lastReload.Load().Error; !strings.HasPrefix(why,
				fmt.Sprintf("configuration %q cannot be read: ", s.File)) &&
				!strings.Contains(why, "the file is larger than 1 MiB") {
				t.Errorf("rejected for %q, want that it cannot be read", why)
			}
			if got := s.Do(t.Context(), fromGooglebot("https://shop.test/")); got.Status != 421 {
				t.Errorf("meanwhile the crawler got %d, want 421 as before", got.Status)
			}
			if err := os.RemoveAll(s.File); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(s.File, other, 0o600); err != nil {
				t.Fatal(err)
			}
			s.Log.Wait(map[string]string{"event": "rule", "to": "observe"})
		})
	}
}
