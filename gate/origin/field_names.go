package origin

import (
	"net/http"

	"gate421/gate/http1"
)

// spellNames has the client's side write the names of the fields that come next as the server did, where it can: names
// mean the same in any case, but some clients compare them as bytes. Over HTTP/2 they are in lower case.
func spellNames(w http.ResponseWriter, names http1.Spelling) {
	if len(names) == 0 {
		return
	}
	for {
		if to, ok := w.(interface{ Spell(http1.Spelling) }); ok {
			to.Spell(names)
			return
		}
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = outer.Unwrap()
	}
}
