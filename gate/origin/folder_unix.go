//go:build unix

package origin

import "syscall"

// withoutWaiting opens a pipe at once, although nobody writes to it. It makes no difference to files.
const withoutWaiting = syscall.O_NONBLOCK
