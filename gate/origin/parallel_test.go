//go:build !race

package origin

// sideBySide is how many tests run at once: they wait for timers and sockets more than for a processor.
const sideBySide = "16"
