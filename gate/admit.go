package gate

import (
	"errors"
	"net/http"
)

// What keeps a request from its origin, in the record's origin_error.
const (
	clientGone = "client_gone"
	clientBusy = "client_busy" // its client, or its connection, has too many requests at the origins already
)

// admit waits until a request may go on to its origin. It answers one that has waited for too long, and drops one whose
// client has left: nobody begins work for nobody.
func (h *Handler) admit(x *exchange, w http.ResponseWriter, r *http.Request) (slot Slot, ok bool) {
	ok = true
	if h.Admit != nil {
		slot, ok = h.Admit(r)
	}
	switch {
	case r.Context().Err() != nil:
		if ok {
			release(slot, nil)
		}
		x.record.OriginError = clientGone
		panic(http.ErrAbortHandler)
	case !ok:
		x.record.OriginError = clientBusy
		w.Header().Set("Retry-After", "1")
		respond(w, r, http.StatusServiceUnavailable,
			"503: too many requests from this address are being worked on. Please try again in a moment.\n")
	}
	return slot, ok
}

// release gives a slot back: at once, or when the origin has let go of a request whose client has left. That is what an
// error with a method Ended says, a channel that is closed then.
func release(slot Slot, err error) {
	switch {
	case slot == nil:
	case err == nil: // as most are
		slot.Release()
	default:
		releaseLater(slot, err)
	}
}

func releaseLater(slot Slot, err error) {
	var later interface{ Ended() <-chan struct{} }
	if !errors.As(err, &later) || later.Ended() == nil {
		slot.Release()
		return
	}
	go func() {
		<-later.Ended()
		slot.Release()
	}()
}
