package front

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"

	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.
	"golang.org/x/net/http2"
)

// serveHTTP2 makes x/net's engine the server of HTTP/2, through TLSNextProto, and keeps net/http's own out. What it does there
// is what ConfigureServer would have it do, over a connection that counts. The engine takes what it may know from
// server.HTTP2, which wins over fields of its own, and server.IdleTimeout.
//
// goodbye sends GOAWAY to every connection. The engine does that when the server shuts down that it was configured with; so that
// is another one, which serves nothing and can be shut down at any time.
func serveHTTP2(server *http.Server, limits Limits, counts *counts) (goodbye func()) {
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
		CountError:                    counts.troubled,
	}
	engine := &http2.Server{}
	told := &http.Server{IdleTimeout: server.IdleTimeout}
	if err := http2.ConfigureServer(told, engine); err != nil {
		panic("front: " + err.Error()) // it objects to cipher suites only, and the configuration names none
	}
	spare := &sync.Pool{New: func() any { return new([heldBytes]byte) }}
	server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	server.TLSNextProto[http2.NextProtoTLS] = func(server *http.Server, c *tls.Conn, h http.Handler) {
		var ctx context.Context
		if based, ok := h.(interface{ BaseContext() context.Context }); ok { // what net/http hands an engine is one of these
			ctx = based.BaseContext()
		}
		along := follow(c, counts, len(http2.ClientPreface), spare)
		engine.ServeConn(along, &http2.ServeConnOpts{Context: ctx, Handler: h, BaseConfig: server})
	}
	return func() { told.Shutdown(context.Background()) }
}
