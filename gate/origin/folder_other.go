//go:build !unix

package origin

// withoutWaiting is nothing where folders hold no pipes.
const withoutWaiting = 0
