package server

import (
	"runtime"
	"runtime/debug"
)

// Build is what the Go tool recorded when it built the program.
type Build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Commit  string `json:"commit"`
}

// Built describes the running program.
func Built() Build {
	b := Build{Version: "(devel)", Go: runtime.Version(), Commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed {
		b.Commit += " with changes"
	}
	return b
}

// product names the program and its version in logs and pages.
func product() string {
	b := Built()
	return "gate421 " + b.Version + " (" + b.Go + ")"
}
