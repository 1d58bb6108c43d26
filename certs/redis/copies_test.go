package redis

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// Somebody who can write to the server cannot have us write outside the folder of copies.
func TestCopiesStayInTheirFolder(t *testing.T) {
	t.Parallel()
	const folder, outside = "certificates/ca/shop.example", "certificates/ca/shop.example/../../../../escaped"
	server := miniredis.RunT(t)
	s, _ := openStorage(t, "redis://"+server.Addr())
	other, _ := openStorage(t, "redis://"+server.Addr())
	for _, key := range []string{folder + "/shop.example.key", outside} {
		if err := other.Store(t.Context(), key, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetAside(t.Context(), folder); err != nil {
		t.Error(err)
	}
	for _, client := range []*Storage{s, other} {
		escaped := filepath.Join(filepath.Dir(client.copies.Path), "escaped")
		if _, err := os.Stat(escaped); err == nil {
			t.Errorf("wrote %s, outside %s", escaped, client.copies.Path)
		}
		if client.copies.has(t.Context(), outside) {
			t.Errorf("%q has a copy, want none", outside)
		}
		if value, err := client.Copy(t.Context(), outside); err == nil {
			t.Errorf("the copy of %q: got %q, want an error", outside, value)
		}
	}
}
