package front

import (
	"context"
	"crypto/tls"
	"log"
	"net/http"
	"sync"

	//lint:file-ignore SA1019 x/net's engine is wanted: net/http's copy in Go 1.26 has published holes.
	"golang.org/x/net/http2"
)

// serveHTTP2 serves HTTP/2 with x/net's engine. The engine takes its settings from an http.Server that serves nothing
// itself: from its HTTP2, which overrides the engine's own fields, and from its IdleTimeout.
//
// sendGoAway sends GOAWAY to every connection. The engine does that when the http.Server that it was configured with
// shuts down; shutdownHook is that one, and can be shut down at any time.
func serveHTTP2(handler http.Handler, limits Limits, counts *counts, errorLog *log.Logger) (
	serve func(context.Context, *tls.Conn), sendGoAway func(),
) {
	base := &http.Server{
		MaxHeaderBytes: limits.HeaderBytes,
		IdleTimeout:    limits.IdleTime,
		ConnState:      counts.onHTTP2State,
		ErrorLog:       errorLog,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          int(limits.Streams),
			MaxReadFrameSize:              int(limits.FrameBytes),
			MaxReceiveBufferPerStream:     int(limits.StreamWindow),
			MaxReceiveBufferPerConnection: int(limits.ConnectionWindow),
			SendPingTimeout:               limits.PingAfter,
			PingTimeout:                   limits.PingTime,
			CountError:                    counts.onEngineError,
		},
	}
	engine := &http2.Server{}
	shutdownHook := &http.Server{IdleTimeout: limits.IdleTime}
	if err := http2.ConfigureServer(shutdownHook, engine); err != nil {
		panic("front: " + err.Error()) // it objects to cipher suites only, and the configuration names none
	}
	spare := &sync.Pool{New: func() any { return new([heldBytes]byte) }}
	serve = func(ctx context.Context, c *tls.Conn) {
		along := follow(c, counts, limits, len(http2.ClientPreface), spare)
		engine.ServeConn(along, &http2.ServeConnOpts{Context: ctx, Handler: handler, BaseConfig: base})
	}
	return serve, func() { shutdownHook.Shutdown(context.Background()) }
}
