//go:build !race

package report

const slowed = false
