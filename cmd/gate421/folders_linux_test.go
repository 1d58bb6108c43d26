package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Root writes in nobody else's folder, and says whose it is and what to do.
func TestFoldersOfSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give folders to others")
	}
	for _, test := range []struct{ name, config, folder, wanted, hint string }{
		{"state", "", "state", "gate421: state folder ", "chown root "},
		{"log", "log: {file: $state/../log/decisions.log}", "log", "gate421: decision log ", "chown root "},
	} {
		s := newProgram(t)
		folder := filepath.Join(filepath.Dir(s.State()), test.folder)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(folder, 54321, 54321); err != nil {
			t.Fatal(err)
		}
		s.Write(test.config + "\nsites: [{hosts: [shop.test], origin: $echo, http2_crawl: refuse}]")
		_, said, err := quiet(t.Context(), []string{"run", "--config", s.File}, "")
		if exitCode(err) != 1 {
			t.Errorf("%s: exit %d, want 1", test.name, exitCode(err))
		}
		if !strings.HasPrefix(said, test.wanted) || !strings.Contains(said,
			`belongs to user 54321, who could lead what root writes there elsewhere`+"\nhint: ") ||
			!strings.Contains(said, test.hint) || strings.Count(said, "\n") != 2 {
			t.Errorf("%s: %s; want whose it is, and how to mend it", test.name, said)
		}
	}
}
