// Package files answers one question: can this process write here, or could somebody else lead what it writes
// elsewhere?
//
// A process of root's that opens a path below a folder of somebody else's, or below one that everybody can write in,
// opens what that somebody wants: a symbolic link in the last place or in any other before it, or a second name (a hard
// link) of a file of root's. So a path is walked step by step, and this is what decides:
//
//   - Root writes below no folder that belongs to anybody but root, and below none where everybody can write, unless it is
//     sticky as /tmp is. Other users may: it is their files alone that are in danger, and containers need it.
//   - Where others can write in a folder (all, a group, its owner), a symbolic link in it is followed only if it belongs to
//     root or to this process's user; what is opened has one name; and for root it belongs to root.
//   - Where nobody else can write, whatever is there was put there by root or by this user, and is what it is: a link is
//     followed wherever it leads, such as one to /dev/stdout.
//
// On systems without these rights nothing is looked at.
//
// And it answers a second one: what does this file hold, whatever may stand under its name? See [Read].
package files

import (
	"errors"
	"io/fs"
	"os"
)

// Unsafe says that a path leads where somebody else might have led it, and what to do about it.
type Unsafe struct {
	Why  string
	Cure string
}

// Error serves error.
func (u *Unsafe) Error() string { return u.Why }

// Cure is what to do about an error, "" where that is not known here.
func Cure(err error) string {
	var unsafe *Unsafe
	if errors.As(err, &unsafe) {
		return unsafe.Cure
	}
	return ""
}

// Open opens a file as os.OpenFile does, unless somebody else might have led the path elsewhere; that is an *Unsafe.
// real is the file's path without links.
func Open(path string, flag int, mode fs.FileMode) (f *os.File, real string, err error) {
	return open(path, flag, mode)
}

// Resolve is the path without links of a file that is about to be written, whether it is there yet or not.
func Resolve(path string) (string, error) { return resolve(path) }

// Folder says whether files can be made in a folder that is there; an *Unsafe where somebody else might lead them
// elsewhere. open says that everybody on this machine can write in it.
func Folder(path string) (open bool, err error) { return folder(path) }
