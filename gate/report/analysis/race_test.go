//go:build race

package analysis

// raceDetector says that every access to memory is watched: what reads millions of lines reads fewer.
const raceDetector = true
