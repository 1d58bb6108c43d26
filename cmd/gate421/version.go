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
func (v *versionCommand) Run(env *environment) error {
	b := server.Built()
	if v.JSON {
		return json.NewEncoder(env.stdout).Encode(b)
	}
	fmt.Fprintf(env.stdout, "gate421 %s\n%s %s/%s\ncommit %s\n", b.Version, b.Go, runtime.GOOS, runtime.GOARCH, b.Commit)
	return nil
}
