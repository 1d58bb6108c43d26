package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"gate421/gate/server"
)

type versionCommand struct {
	JSON bool `name:"json" help:"As one JSON object."`
}

// Run prints what the build recorded about itself.
func (c *versionCommand) Run(w *world) error {
	b := server.Built()
	if c.JSON {
		return json.NewEncoder(w.stdout).Encode(b)
	}
	fmt.Fprintf(w.stdout, "gate421 %s\n%s %s/%s\ncommit %s\n", b.Version, b.Go, runtime.GOOS, runtime.GOARCH, b.Commit)
	return nil
}
