// Package client speaks HTTP/1.x to servers. It answers one question: how is a request written, and its response read,
// so that nobody could read either in another way?
//
// It serves the request's own goroutine and starts no other. A [Conn] is one connection: it writes a request's head,
// reads the response's heads and body, and knows whether it is good for another request. Which connection a request
// goes on, how its body is sent and what becomes of the response is the caller's to say: see package origin.
//
// Requests: a method, target, host or field that could be read in two ways is not written, see [WellFormed]; the target
// is written byte for byte as it came, fields in the order of their names, hop-by-hop fields not at all, and the
// client's address in the fields of package forwarding. No field is written after a body that could be taken for one of
// the header.
//
// Responses: a status line other than HTTP/1.0's or HTTP/1.1's, a control character, a folded line, a length that is no
// number, two lengths that differ, Transfer-Encoding beside Content-Length or other than chunked: [ErrMalformed]. Lines
// of a head may end in LF alone, those of a trailer section may not. A head is at most [MaxHead] long.
//
// One deadline bounds the wait for a response's head, and each read of its body: see [Conn].
package client
