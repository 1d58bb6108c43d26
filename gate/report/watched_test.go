//go:build race

package report

// slowed says that every access to memory is watched: what reads millions of lines reads fewer.
const slowed = true
