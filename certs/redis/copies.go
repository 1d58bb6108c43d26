package redis

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/caddyserver/certmagic"
)

// copies is a folder with this gateway's own copy of the certificates and keys that it read from or wrote to the
// server, so that it starts and serves while the server is down.
//
// It is laid out as a storage in a folder is: 0700 folders, 0600 files, each written to a temporary name, synced and
// renamed. Accounts and challenges are not copied: without the server nothing is ordered.
//
// The three files of a certificate are written one after another. A crash between them leaves a pair that does not
// match, which is as good as none until the storage is back.
type copies struct {
	certmagic.FileStorage
	onWarning func(string) // in plain words; not nil
}

// covers reports whether the value of key is copied. The names that a server lists are not to be trusted: one that
// leads out of the folder has no copy.
func (c copies) covers(key string) bool {
	return strings.HasPrefix(key, "certificates/") && path.Clean(key) == key &&
		filepath.IsLocal(filepath.FromSlash(key))
}

// get reads a copy; any error means that there is none that can be used.
func (c copies) get(ctx context.Context, key string) ([]byte, error) {
	if !c.covers(key) {
		return nil, fs.ErrNotExist
	}
	return c.Load(ctx, key)
}

// has reports whether there is a copy.
func (c copies) has(ctx context.Context, key string) bool {
	return c.covers(key) && c.Exists(ctx, key)
}

// put writes a copy unless it is there already. A failure is only a warning: the server has the value.
func (c copies) put(ctx context.Context, key string, value []byte) {
	if !c.covers(key) {
		return
	}
	if old, err := c.Load(ctx, key); err == nil && bytes.Equal(old, value) {
		return
	}
	if err := c.Store(ctx, key, value); err != nil {
		c.onWarning(fmt.Sprintf("folder %q: no copy of what the certificate storage has: %v", c.Path, err))
	}
}

// drop deletes the copy of key, or of everything below it.
func (c copies) drop(ctx context.Context, key string) {
	if !c.covers(key) {
		return
	}
	if err := c.Delete(ctx, key); err != nil {
		c.onWarning(fmt.Sprintf("folder %q: a copy of what the certificate storage no longer has: %v", c.Path, err))
	}
}
