//go:build race

package origin

// sideBySide is how many tests run at once. They wait for timers and sockets more than for a processor, but not under
// the race detector, which makes everything several times slower.
const sideBySide = "1"
