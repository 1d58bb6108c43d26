package http1

import "context"

// Spelling is how a peer wrote the names of fields that it wrote unlike Registered. Names mean the same in any case
// (RFC 9110 section 5.1), but devices compare them as bytes. It is nil for most messages.
type Spelling []string

// Note adds a name that a message has written, given the form in which net/http's Header has it.
func (s *Spelling) Note(written, name string) {
	if written != Registered(name) {
		if *s == nil {
			*s = make(Spelling, 0, 8)
		}
		*s = append(*s, written)
	}
}

// Of is how to write a field's name.
func (s Spelling) Of(name string) string {
	for _, written := range s {
		if Same(written, name) {
			return written
		}
	}
	return Registered(name)
}

// SpellingKey is where the context of a request that came over HTTP/1.x has its *Spelling.
type SpellingKey struct{}

// SpellingOf is how the client of a request wrote its names.
func SpellingOf(ctx context.Context) Spelling {
	if s, _ := ctx.Value(SpellingKey{}).(*Spelling); s != nil {
		return *s
	}
	return nil
}
