//go:build unix

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many links a path may lead through, as in the kernel.
const maxLinks = 40

// place is where a path leads.
type place struct {
	real   string      // without links
	folder fs.FileInfo // that it is in
	shared bool        // somebody else can write in that
	proc   bool        // it is a process's own, below /proc, and no name of a file
}

// user is who this process is.
func user() uint32 { return uint32(os.Geteuid()) }

// owner is a file's user and the number of its names.
func owner(info fs.FileInfo) (uid uint32, names uint64) {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid, uint64(stat.Nlink)
	}
	return 0, 1
}

// ours says whether a file belongs to root or to this process's user.
func ours(info fs.FileInfo) bool {
	uid, _ := owner(info)
	return uid == 0 || uid == user() || outside(uid)
}

// outside says whether a user is none of this process's user namespace, but what all those beyond it look like: so does
// the system's root where a user plays root (user_namespaces(7)). Nobody in the namespace is that user.
func outside(uid uint32) bool {
	const overflow = 65534
	if uid != overflow {
		return false
	}
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var inner, outer, count uint64
		if n, _ := fmt.Sscan(line, &inner, &outer, &count); n != 3 || inner <= overflow && overflow < inner+count {
			return false
		}
	}
	return true
}

// find walks a path. The last part of it need not be there.
func find(path string) (_ place, err error) {
	if !filepath.IsAbs(path) { // and not cleaned: a ".." may stand behind a link
		here, err := os.Getwd()
		if err != nil {
			return place{}, err
		}
		path = here + "/" + path
	}
	at := place{real: "/"}
	left := parts(path)
	for links := 0; len(left) > 0; {
		folder := at.real
		if at.folder, err = os.Lstat(folder); err != nil {
			return place{}, err
		}
		if at.shared, err = judge(folder, at.folder); err != nil {
			return place{}, err
		}
		name := left[0]
		left = left[1:]
		if name == ".." {
			at.real = filepath.Dir(folder)
			continue
		}
		at.real = filepath.Join(folder, name)
		info, err := os.Lstat(at.real)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(left) == 0:
			return at, nil
		case err != nil:
			return place{}, err
		case info.Mode()&fs.ModeSymlink == 0:
			continue
		case at.shared && !ours(info):
			uid, _ := owner(info)
			return place{}, &Unsafe{
				fmt.Sprintf("%q is a link of user %d's in a folder where others can write, and is not followed",
					at.real, uid),
				fmt.Sprintf(
					"remove %q, and name a file in a folder where only root and the user that gate421 runs as can write",
					at.real,
				),
			}
		case strings.HasPrefix(folder+"/", "/proc/"):
			at.proc = true
			return at, nil
		}
		if links++; links > maxLinks {
			return place{}, &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		target, err := os.Readlink(at.real)
		if err != nil {
			return place{}, err
		}
		if at.real = folder; filepath.IsAbs(target) {
			at.real = "/"
		}
		left = append(parts(target), left...)
	}
	return at, nil
}

// parts are the names in a path. Its "..", which may stand behind a link, are left.
func parts(path string) (all []string) {
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			all = append(all, name)
		}
	}
	return all
}

// judge says whether somebody else can write in a folder, and has an error where that must not be.
func judge(path string, info fs.FileInfo) (shared bool, err error) {
	uid, _ := owner(info)
	everybody := info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0
	switch {
	case !info.IsDir():
		return false, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	case user() == 0 && !ours(info):
		return true, &Unsafe{
			fmt.Sprintf("folder %q belongs to user %d, who could lead what root writes there elsewhere", path, uid),
			fmt.Sprintf("run gate421 as that user, or give the folder to root: chown root %s", path),
		}
	case user() == 0 && everybody:
		return true, &Unsafe{
			fmt.Sprintf("everybody can write in folder %q, and lead what root writes there elsewhere", path),
			fmt.Sprintf("let only root write there (chmod go-w %s), or name another folder", path),
		}
	}
	return !ours(info) || info.Mode()&0o022 != 0, nil
}

// check says what is wrong with a file that was opened in a folder where somebody else can write.
func check(path string, info fs.FileInfo) error {
	uid, names := owner(info)
	const cure = "remove it, or name a file in a folder where only root and the user that gate421 runs as can write"
	switch {
	case user() == 0 && !ours(info):
		return &Unsafe{fmt.Sprintf("%q belongs to user %d, in a folder where others can write", path, uid), cure}
	case info.Mode().IsRegular() && names > 1:
		return &Unsafe{
			fmt.Sprintf("%q has a second name (a hard link), in a folder where others can write", path),
			cure,
		}
	}
	return nil
}

func open(path string, flag int, mode fs.FileMode) (*os.File, string, error) {
	at, err := find(path)
	if err != nil {
		return nil, "", err
	}
	switch {
	case at.proc, at.folder == nil:
		f, err := os.OpenFile(path, flag, mode)
		return f, at.real, err
	case !at.shared:
		f, err := os.OpenFile(at.real, flag|syscall.O_NOFOLLOW, mode)
		return f, at.real, err
	}
	// The folder that was judged, whatever leads to it now; a link in it leads nowhere else.
	root, err := os.OpenRoot(filepath.Dir(at.real))
	if err != nil {
		return nil, "", err
	}
	defer root.Close()
	if here, err := root.Stat("."); err != nil || !os.SameFile(here, at.folder) {
		return nil, "", errors.Join(err,
			&Unsafe{Why: fmt.Sprintf("folder %q was replaced while it was looked at", filepath.Dir(at.real))})
	}
	f, err := root.OpenFile(filepath.Base(at.real), flag, mode)
	if err != nil {
		return nil, "", err
	}
	info, err := f.Stat()
	if err == nil {
		err = check(at.real, info)
	}
	if err != nil {
		f.Close()
		return nil, "", err
	}
	return f, at.real, nil
}

func resolve(path string) (string, error) {
	at, err := find(path)
	if at.proc {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real, nil
		}
		return path, nil
	}
	return at.real, err
}

func folder(path string) (bool, error) {
	at, err := find(filepath.Join(path, "."))
	if err != nil {
		return false, err
	}
	info, err := os.Lstat(at.real)
	if err != nil {
		return false, err
	}
	_, err = judge(at.real, info)
	return info.Mode()&0o002 != 0, err
}
