package certs

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

// copies is the folder in which a gateway keeps its own copy of the certificates and keys that it read from or wrote
// to shared storage, so that it starts and serves while that is down. It is laid out as "certificates" is without
// shared storage: 0700 folders, 0600 files, each written to a temporary name, synced and renamed. Accounts and
// challenges are not kept: without the storage nothing is ordered.
//
// The three files of a certificate are written one after another. A crash between them leaves a pair that does not
// match, which is as good as none until the storage is back.
type copies struct {
	certmagic.FileStorage
	warn func(string)
}

// keeps reports whether there is a copy of what has this key. Names that the server lists are not ours to trust: one that
// leads out of the folder has none.
func (c copies) keeps(key string) bool {
	return strings.HasPrefix(key, "certificates/") && path.Clean(key) == key && filepath.IsLocal(filepath.FromSlash(key))
}

// get reads a copy; any error means that there is none to use.
func (c copies) get(ctx context.Context, key string) ([]byte, error) {
	if !c.keeps(key) {
		return nil, fs.ErrNotExist
	}
	return c.Load(ctx, key)
}

func (c copies) has(ctx context.Context, key string) bool {
	return c.keeps(key) && c.Exists(ctx, key)
}

// put writes a copy, unless it is there already. That it fails is a warning: the storage has it.
func (c copies) put(ctx context.Context, key string, value []byte) {
	if !c.keeps(key) {
		return
	}
	if old, err := c.Load(ctx, key); err == nil && bytes.Equal(old, value) {
		return
	}
	if err := c.Store(ctx, key, value); err != nil {
		c.warn(fmt.Sprintf("folder %q: no copy of what the certificate storage has: %v", c.Path, err))
	}
}

// drop deletes the copy of key, or of everything below it.
func (c copies) drop(ctx context.Context, key string) {
	if !c.keeps(key) {
		return
	}
	if err := c.Delete(ctx, key); err != nil {
		c.warn(fmt.Sprintf("folder %q: a copy of what the certificate storage no longer has: %v", c.Path, err))
	}
}
