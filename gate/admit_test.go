package gate

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gate421/gate/policy"
)

// ticket is a slot that says when it was given back.
type ticket chan struct{}

func (t ticket) Release() { close(t) }

// gone is an origin's error about a client that left.
type gone struct{ ended chan struct{} }

func (g gone) Error() string          { return "client_gone" }
func (g gone) Ended() <-chan struct{} { return g.ended }

func TestSlotIsHeldUntilTheOriginLetsGo(t *testing.T) {
	for name, err := range map[string]error{"a whole response": nil, "a failure": errors.New("timeout"), "a client that left": gone{make(chan struct{})}} {
		slot := make(ticket)
		release(slot, err)
		if left, ok := err.(gone); ok {
			select {
			case <-slot:
				t.Error("left while the origin works")
			default:
			}
			close(left.ended)
		}
		select {
		case <-slot:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: not left", name)
		}
	}
}

// upgradable is a connection that can be taken over.
type upgradable struct{ *httptest.ResponseRecorder }

func (upgradable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

// A connection that has become something else than HTTP holds no slot.
func TestUpgradeHoldsNoSlot(t *testing.T) {
	slot := make(ticket)
	f := setup(t, policy.Observe, func(w http.ResponseWriter, _ *http.Request) (int, time.Duration, error) {
		http.NewResponseController(w).Hijack()
		select {
		case <-slot:
		case <-time.After(10 * time.Second):
			t.Error("the slot is held")
		}
		return 101, 0, nil
	})
	f.handler.Admit = func(*http.Request) (Slot, bool) { return slot, true }
	f.handler.ServeHTTP(upgradable{httptest.NewRecorder()}, request(1, "example.com", "/", "a browser"))
}

// Who may not go on is told, or has left; either is on record, and no origin is asked.
func TestRequestThatIsNotAdmitted(t *testing.T) {
	for _, test := range []struct {
		left   bool
		status int
		word   string
	}{{false, 503, "client_busy"}, {true, 0, "client_gone"}} {
		f := setup(t, policy.Observe, func(http.ResponseWriter, *http.Request) (int, time.Duration, error) {
			t.Error("the origin was asked")
			return 0, 0, nil
		})
		f.handler.Admit = func(*http.Request) (Slot, bool) { return nil, false }
		ctx, leave := context.WithCancel(t.Context())
		if test.left {
			leave()
		}
		w, records := f.do(request(2, "example.com", "/", "a browser").WithContext(ctx))
		leave()
		if len(records) != 1 || records[0].Status != test.status || records[0].OriginError != test.word ||
			records[0].OriginStatus != 0 {
			t.Errorf("on record: %+v", records)
		}
		if !test.left && (w.Code != 503 || w.Header().Get("Retry-After") != "1") {
			t.Errorf("%d %v", w.Code, w.Header())
		}
	}
}
