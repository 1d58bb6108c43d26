//go:build !race

package audit

const slowed = false
