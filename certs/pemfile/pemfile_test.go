package pemfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	const certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	const key = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
	for _, test := range []struct{ name, text, kind, want string }{
		{"the only block", certificate, "CERTIFICATE", ""},
		{"the second block", "a comment\n" + certificate + key, "PRIVATE KEY", ""},
		{"no such block", certificate, "PRIVATE KEY", `holds no PEM block of type "PRIVATE KEY"`},
		{"empty", "", "CERTIFICATE", `holds no PEM block of type "CERTIFICATE"`},
		{"encrypted", strings.ReplaceAll(key, "EC PRIVATE", "ENCRYPTED PRIVATE"), "PRIVATE KEY", "it is encrypted"},
		{"too large", certificate + strings.Repeat("x", MaxSize), "CERTIFICATE", "larger than 1048576 bytes"},
	} {
		data, err := Read(write(t, test.text), test.kind)
		if test.want == "" && (err != nil || string(data) != test.text) {
			t.Errorf("%s: got %q, %v, want all of it", test.name, data, err)
		}
		if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	folder := t.TempDir()
	if _, err := Read(folder, "CERTIFICATE"); err == nil || err.Error() != "not a regular file" {
		t.Errorf("a folder: got %v, want %q", err, "not a regular file")
	}
	_, err := Read(filepath.Join(folder, "none"), "CERTIFICATE")
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), folder) {
		t.Errorf("no file: got %v, want fs.ErrNotExist without the path", err)
	}
}

func TestOpenToAll(t *testing.T) {
	path := write(t, "")
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: runtime.GOOS != "windows"} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := OpenToAll(path, info); (got != "") != want || want && !strings.Contains(got, path) {
			t.Errorf("mode %04o: got %q, want a warning: %v", mode, got, want)
		}
	}
}
