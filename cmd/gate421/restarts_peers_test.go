//go:build peers

package main

// usualRestarts is how often TestRestartsLoseNobody restarts; RESTARTS in the environment says otherwise.
const usualRestarts = 30
