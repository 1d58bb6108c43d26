package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
)

// raw is a codec for messages that are bytes.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// talk is a service with all four kinds of call. What it says between two messages it waits for.
type talk struct{}

func (talk) description() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "talk", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ask", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var message []byte
			return &message, decode(&message)
		}}},
		Streams: []grpc.StreamDesc{
			{StreamName: "collect", ClientStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				n := 0
				for ; ; n++ {
					var message []byte
					if err := s.RecvMsg(&message); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						return err
					}
				}
				count := []byte(fmt.Sprint(n))
				return s.SendMsg(&count)
			}},
			{StreamName: "tell", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				var message []byte
				if err := s.RecvMsg(&message); err != nil {
					return err
				}
				var pause int64 // nanoseconds
				var parts int
				fmt.Sscan(string(message), &pause, &parts)
				for range parts {
					time.Sleep(time.Duration(pause))
					if err := s.SendMsg(&message); err != nil {
						return err
					}
				}
				return nil
			}},
			{StreamName: "chat", ClientStreams: true, ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
				for {
					var message []byte
					if err := s.RecvMsg(&message); errors.Is(err, io.EOF) {
						return nil
					} else if err != nil {
						return err
					}
					if err := s.SendMsg(&message); err != nil {
						return err
					}
				}
			}},
		},
	}
}

// caller makes calls. Each returns how many messages came back.
type caller struct{ conn *grpc.ClientConn }

func (c caller) ask(ctx context.Context) (int, error) {
	message, answer := []byte("hello"), []byte(nil)
	err := c.conn.Invoke(ctx, "/talk/ask", &message, &answer)
	return len(answer) / len(message), err
}

// collect and chat send so many messages, each after a pause.
func (c caller) collect(ctx context.Context, pause time.Duration, parts int) (n int, err error) {
	s, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/talk/collect")
	if err != nil {
		return 0, err
	}
	for range parts {
		time.Sleep(pause)
		message := []byte("x")
		if s.SendMsg(&message) != nil {
			break
		}
	}
	s.CloseSend()
	var count []byte
	err = s.RecvMsg(&count)
	fmt.Sscan(string(count), &n)
	return n, err
}

func (c caller) chat(ctx context.Context, pause time.Duration, parts int) (n int, err error) {
	s, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/talk/chat")
	if err != nil {
		return 0, err
	}
	for ; n < parts; n++ {
		time.Sleep(pause)
		message := []byte("x")
		if err := s.SendMsg(&message); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := s.RecvMsg(&message); err != nil {
			return n, err
		}
	}
	s.CloseSend()
	var message []byte
	if err = s.RecvMsg(&message); errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// tell has the server send so many messages, each after a pause.
func (c caller) tell(ctx context.Context, pause time.Duration, parts int) (n int, err error) {
	s, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/talk/tell")
	if err != nil {
		return 0, err
	}
	wish := []byte(fmt.Sprint(int64(pause), " ", parts))
	if err := s.SendMsg(&wish); err != nil {
		return 0, err
	}
	s.CloseSend()
	for {
		var message []byte
		switch err := s.RecvMsg(&message); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
		n++
	}
}
