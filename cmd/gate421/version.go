package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct {
	JSON bool `name:"json" help:"As one JSON object."`
}

// Run prints what the build recorded about itself.
func (c *versionCommand) Run(w *world) error {
	b := built()
	if c.JSON {
		return json.NewEncoder(w.stdout).Encode(b)
	}
	fmt.Fprintf(w.stdout, "gate421 %s\n%s %s/%s\ncommit %s\n", b.Version, b.Go, runtime.GOOS, runtime.GOARCH, b.Commit)
	return nil
}

type build struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Commit  string `json:"commit"`
}

func built() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Commit: "unknown"}
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
	b := built()
	return "gate421 " + b.Version + " (" + b.Go + ")"
}
