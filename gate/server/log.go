package server

import (
	"sync/atomic"

	"gate421/gate/audit"
	"gate421/gate/config"
	"gate421/gate/files"
	"gate421/gate/hint"
)

// decisionLog is the decision log that is in use. It implements gate.Log; a reload may replace the log below it.
type decisionLog struct{ current atomic.Pointer[audit.Log] }

// Ready says whether the log takes lines.
func (d *decisionLog) Ready() bool { return d.current.Load().Ready() }

// Decision queues a line and never waits.
func (d *decisionLog) Decision(r *audit.Record) { d.current.Load().Decision(r) }

// Refusal returns nil once the line is in the file.
func (d *decisionLog) Refusal(r *audit.Record) error { return d.current.Load().Refusal(r) }

// Event queues a line and never waits.
func (d *decisionLog) Event(event string, fields audit.Fields) { d.current.Load().Event(event, fields) }

// Stats are those of the log in use: they begin at zero when a reload changes where or what it writes.
func (d *decisionLog) Stats() audit.LogStats { return d.current.Load().Stats() }

func (d *decisionLog) close() error { return d.current.Load().Close() }

// newLog opens the log that a version asks for.
func (g *Gateway) newLog(c *config.Config) (*audit.Log, error) {
	r := c.Log.Rotate
	wanted := audit.Config{
		File: c.Log.File, Stdout: g.stdout, Privacy: privacyOf(c.Log),
		Rotate:    audit.Rotation{Size: r.Size, Keep: r.Keep, Compress: r.Compress == "zstd"},
		OnTrouble: func(err error) { g.onLogTrouble(c.Log.File, err) },
		OnRotate:  g.onRotation,
	}
	if c.Log.Scope == "crawlers" {
		wanted.Scope = audit.ScopeCrawlers
	}
	log, err := audit.Open(wanted)
	if err != nil {
		if cure := files.Cure(err); cure != "" {
			return nil, hint.Add(err, "%s", cure)
		}
		return nil, hint.Add(err, "create its folder and let this user write there, or use file: \"-\" for standard output")
	}
	return log, nil
}

// privacyOf is what the log's settings keep out of it.
func privacyOf(l config.Log) audit.Privacy {
	return audit.Privacy{Truncate: l.ClientIP == "truncated", NoQuery: l.Query == "drop"}
}
