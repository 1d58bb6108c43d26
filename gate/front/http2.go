package front

import (
	"net/http"

	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.
	"golang.org/x/net/http2"
)

// serveHTTP2 makes x/net's engine the server of HTTP/2, through TLSNextProto, and keeps net/http's own out. The engine
// takes what it may know from server.HTTP2, which wins over fields of its own, and server.IdleTimeout.
func serveHTTP2(server *http.Server, limits Limits) {
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          int(limits.Streams),
		MaxReadFrameSize:              int(limits.FrameBytes),
		MaxReceiveBufferPerStream:     int(limits.StreamWindow),
		MaxReceiveBufferPerConnection: int(limits.ConnectionWindow),
		SendPingTimeout:               limits.PingAfter,
		PingTimeout:                   limits.PingTime,
		WriteByteTimeout:              limits.WriteTime,
	}
	if err := http2.ConfigureServer(server, nil); err != nil {
		panic("front: " + err.Error()) // it objects to cipher suites only, and the configuration names none
	}
}
