package certs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// Whoever can write to the server is not to write outside the folder of copies.
func TestCopiesStayInTheirFolder(t *testing.T) {
	server := miniredis.RunT(t)
	r, _ := redisClient(t, "redis://"+server.Addr())
	const folder, evil = "certificates/ca/shop.example", "certificates/ca/shop.example/../../../../escaped"
	other, _ := redisClient(t, "redis://"+server.Addr())
	for _, key := range []string{folder + "/shop.example.key", evil} {
		if err := other.Store(t.Context(), key, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.setAside(t.Context(), folder); err != nil {
		t.Error(err)
	}
	for _, client := range []*redisStore{r, other} {
		out := filepath.Join(filepath.Dir(client.copies.Path), "escaped")
		if _, err := os.Stat(out); err == nil {
			t.Errorf("wrote %s, outside %s", out, client.copies.Path)
		}
		if client.copies.has(t.Context(), evil) {
			t.Error("looked outside")
		}
		if _, err := client.copies.get(t.Context(), evil); err == nil {
			t.Error("read outside")
		}
	}
}
