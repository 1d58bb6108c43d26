package main

import "gate421/cmd/gate421/demo"

type demoCommand struct {
	Once bool `help:"Stop after the tour; exit 0 only if every decision was right."`
}

// Help is shown by demo --help.
func (demoCommand) Help() string {
	return `Everything it needs is in the program and stays on this machine's loopback: a web site, a certificate authority, and a DNS
server that says which loopback address is Googlebot. The gateway in the middle is the same that "gate421 run" starts.`
}

// Run takes the visitors on their tour and keeps serving.
func (d *demoCommand) Run(env *environment) error {
	return demo.Run(env.ctx, env.stdout, env.stderr, d.Once)
}
