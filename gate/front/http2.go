package front

import (
	"context"
	"crypto/tls"
	"log"
	"net/http"
	"sync"

	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.
	"golang.org/x/net/http2"
)

// serveHTTP2 makes x/net's engine the server of HTTP/2. The engine takes what it may know from an http.Server that serves nothing
// itself: from its HTTP2, which wins over fields of the engine's own, and its IdleTimeout.
//
// goodbye sends GOAWAY to every connection. The engine does that when the server shuts down that it was configured with; so that
// is another one, which can be shut down at any time.
func serveHTTP2(handler http.Handler, limits Limits, counts *counts, trouble *log.Logger) (serve func(context.Context, *tls.Conn), goodbye func()) {
	base := &http.Server{
		MaxHeaderBytes: limits.HeaderBytes,
		IdleTimeout:    limits.IdleTime,
		ConnState:      counts.connected,
		ErrorLog:       trouble,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          int(limits.Streams),
			MaxReadFrameSize:              int(limits.FrameBytes),
			MaxReceiveBufferPerStream:     int(limits.StreamWindow),
			MaxReceiveBufferPerConnection: int(limits.ConnectionWindow),
			SendPingTimeout:               limits.PingAfter,
			PingTimeout:                   limits.PingTime,
			CountError:                    counts.troubled,
		},
	}
	engine := &http2.Server{}
	told := &http.Server{IdleTimeout: limits.IdleTime}
	if err := http2.ConfigureServer(told, engine); err != nil {
		panic("front: " + err.Error()) // it objects to cipher suites only, and the configuration names none
	}
	spare := &sync.Pool{New: func() any { return new([heldBytes]byte) }}
	serve = func(ctx context.Context, c *tls.Conn) {
		along := follow(c, counts, limits, len(http2.ClientPreface), spare)
		engine.ServeConn(along, &http2.ServeConnOpts{Context: ctx, Handler: handler, BaseConfig: base})
	}
	return serve, func() { told.Shutdown(context.Background()) }
}
