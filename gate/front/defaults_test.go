package front

import (
	"testing"

	"gate421/gate/config"
)

// TestDefaultsMatchConfiguration holds what a zero limit means to what a key that was left out means.
func TestDefaultsMatchConfiguration(t *testing.T) {
	least, err := config.Parse("least.yaml",
		[]byte("sites: [{hosts: [example.com], origin: http://127.0.0.1:3000, http2_crawl: observe}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	l := least.Limits
	want := Limits{
		HeaderBytes: l.HeaderBytes, HeaderFields: l.HeaderFields, HeaderTime: l.HeaderTime, IdleTime: l.IdleTime,
		PingAfter: l.PingAfter, PingTime: l.PingTime, WriteTime: l.WriteTime, DrainTime: l.DrainTime,
		Streams: uint32(l.Streams), FrameBytes: uint32(l.FrameBytes), StreamWindow: int32(l.StreamWindow),
		ConnectionWindow: int32(l.ConnectionWindow),
		StallTime:        l.StallTime, StallBytes: l.StallBytes, StreamIdleTime: l.StreamIdleTime,
		Connections: l.Connections, ConnectionsPerAddress: l.ConnectionsPerAddress,
		RequestsPerAddress: l.RequestsPerAddress,
	}
	if got := (Limits{}).withDefaults(); got != want {
		t.Errorf("the zero limits mean\n%+v, want the configuration's defaults\n%+v", got, want)
	}
}
