package front

import (
	"sync"
	"time"

	//lint:file-ignore SA1019 the engine takes its own errors only.
	"golang.org/x/net/http2"
)

// mostEarlyResets is how many streams more may be reset early than responses have begun, on one connection: before their own has, and
// within earlyTime. Who leaves a page early resets a screenful; an attacker resets all. It bounds what is begun for nobody. Who gives
// up later, on a site's server that is slow or on a poll that found nothing, has waited for a response.
const (
	mostEarlyResets = 500
	earlyTime       = time.Second
)

// streams are those of one HTTP/2 connection that are open, as far as the frames say: who has ended them, and which of them nobody
// works for any more.
//
// A stream is open until the server has ended it or either side has reset it. One that is open and has no handler is the engine's
// to end (it answers 400 and 431 by itself), and no limit of the engine's bounds that: a client that never opens its window holds
// it for ever. So they are looked at twice in every StallTime; where more have been open for so long than there are handlers,
// the connection is closed.
type streams struct {
	after time.Duration // between two looks
	stuck func()        // closes the connection

	mu       sync.Mutex
	last     uint32       // the highest number that the client has used
	open     []openStream // in the order of their numbers, in which clients open them
	early    int          // early resets, less the responses
	round    int32        // of looking
	handlers int          // that run
	recent   int          // of them, those that began in this round
	most     uint32       // the last stream that our GOAWAY lets be served; 0: there was none
	doubts   int          // looks in a row that found too few handlers
	epoch    time.Time    // when the first stream was opened
	timer    *time.Timer  // nil: there was no stream yet
	ticking  bool
	over     bool
}

// openStream is what is known of one.
type openStream struct {
	id    uint32
	round int32         // in which it was opened
	since time.Duration // when it was, after epoch
	begun bool          // its response has
}

// received follows the client's frames.
func (s *streams) received(h *frameHead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case h.kind == frameHeaders && h.id > s.last:
		s.last = h.id
		if s.most > 0 && h.id > s.most {
			return // it came too late, and nobody answers
		}
		if s.open == nil {
			s.open, s.epoch = make([]openStream, 0, 8), time.Now()
		}
		s.open = append(s.open, openStream{id: h.id, round: s.round, since: time.Since(s.epoch)})
		s.tick(s.after)
	case h.kind == frameResetStream:
		s.reset(h.id)
	}
}

// sent follows ours. The engine begins a goroutine for most of what it writes, whose stack is small: so what is called here for
// every frame has little on it, and what is seldom called stands apart.
func (s *streams) sent(h *frameHead) {
	if h.id == 0 && h.kind != frameGoAway {
		return
	}
	s.mu.Lock()
	switch h.kind {
	case frameData, frameHeaders:
		s.responded(h)
	case frameResetStream:
		s.resetByUs(h)
	case frameGoAway:
		s.goingAway(h)
	}
	s.mu.Unlock()
}

// responded follows a response. The caller holds mu, as of what follows.
func (s *streams) responded(h *frameHead) {
	at := s.find(h.id)
	if at < 0 {
		return
	}
	if one := &s.open[at]; !one.begun {
		one.begun = true
		s.early = max(s.early-1, 0)
	}
	if h.end {
		s.drop(at)
	}
}

// resetByUs notes a reset. One that the client has provoked is the same as one of its own (CVE-2025-8671).
func (s *streams) resetByUs(h *frameHead) {
	at := s.find(h.id)
	switch {
	case provoked(h.code) && (at >= 0 || http2.ErrCode(h.code) != http2.ErrCodeStreamClosed):
		s.reset(h.id) // of a stream that has ended the client may still be sending what it sent before it knew
	case at >= 0:
		s.drop(at)
	}
}

func (s *streams) goingAway(h *frameHead) {
	s.most = max(h.last, 1)
	s.open = s.open[:s.place(s.most+1)]
}

// find is where a stream is in open, -1 where it is not open.
func (s *streams) find(id uint32) int {
	if at := s.place(id); at < len(s.open) && s.open[at].id == id {
		return at
	}
	return -1
}

// place is where a stream would be in open.
func (s *streams) place(id uint32) int {
	low, high := 0, len(s.open)
	for low < high {
		if middle := (low + high) / 2; s.open[middle].id < id {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func (s *streams) drop(at int) {
	copy(s.open[at:], s.open[at+1:])
	s.open = s.open[:len(s.open)-1]
}

// provoked says whether a stream was reset for what its client did: an error of the protocol or of flow control, a frame that the
// stream's state or the frame's size does not allow, a stream too many.
func provoked(code uint32) bool {
	switch http2.ErrCode(code) {
	case http2.ErrCodeProtocol, http2.ErrCodeFlowControl, http2.ErrCodeStreamClosed, http2.ErrCodeFrameSize, http2.ErrCodeRefusedStream:
		return true
	}
	return false
}

// reset counts one, unless its response has begun or was waited for. The caller holds mu.
func (s *streams) reset(id uint32) {
	at := s.find(id)
	if at < 0 || !s.open[at].begun && time.Since(s.epoch)-s.open[at].since < earlyTime {
		s.early++
	}
	if at >= 0 {
		s.drop(at)
	}
}

// calm is the error that ends the connection, nil while there is none. The engine sends a GOAWAY for it.
func (s *streams) calm() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early <= mostEarlyResets {
		return nil
	}
	return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
}

// enter and leave count a handler while it runs.
func (s *streams) enter() (round int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers++
	s.recent++
	return s.round
}

func (s *streams) leave(round int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers--
	if round == s.round {
		s.recent--
	}
}

// tick sees to it that what is open is looked at. The caller holds mu.
func (s *streams) tick(after time.Duration) {
	switch {
	case s.ticking || s.over || s.after == 0:
		return
	case s.timer == nil:
		s.timer = time.AfterFunc(after, s.look)
	default:
		s.timer.Reset(after)
	}
	s.ticking = true
}

// look compares the streams that have been open for at least one whole round with the handlers that began before this one. A
// handler may have returned a moment ago, so where there are too few it looks again before it believes it.
func (s *streams) look() {
	const looks = 3
	s.mu.Lock()
	old := 0
	for _, one := range s.open {
		if one.round+1 < s.round {
			old++
		}
	}
	next := s.after
	switch {
	case old > s.handlers-s.recent:
		s.doubts++
		next = s.after / 8
	default:
		s.doubts, s.recent = 0, 0
		s.round++
	}
	stuck := s.doubts == looks && !s.over
	if s.ticking = false; len(s.open) > 0 && !stuck {
		s.tick(next)
	}
	s.mu.Unlock()
	if stuck {
		s.stuck()
	}
}

// end ends looking.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
