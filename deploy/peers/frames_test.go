//go:build peers

package peers

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	//lint:file-ignore SA1019 frames are made with the library that the gateway's server is of.
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attack2 sends an attack as stream 1 and an ordinary request as stream 3 behind it.
func (s *smugglers) attack2(t *testing.T, a attack) (got reaction) {
	t.Helper()
	conn := s.dial(t, "h2")
	defer conn.Close()
	s.turns++
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.AllowIllegalWrites = true
	go func() { // the server may have had enough at any moment
		io.WriteString(conn, http2.ClientPreface)
		framer.WriteSettings()
		var packed bytes.Buffer
		packer := hpack.NewEncoder(&packed)
		header := func(stream uint32, end bool, fields []string) {
			packed.Reset()
			for pair := range slices.Chunk(fields, 2) {
				packer.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]})
			}
			block := packed.Bytes()
			first := block[:min(len(block), 16<<10)]
			framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: end, EndHeaders: len(first) == len(block)})
			for block = block[len(first):]; len(block) > 0; {
				part := block[:min(len(block), 16<<10)]
				block = block[len(part):]
				framer.WriteContinuation(stream, len(block) == 0, part)
			}
		}
		header(1, len(a.data)+len(a.more) == 0, a.h2)
		for i, data := range a.data {
			framer.WriteData(1, i == len(a.data)-1 && len(a.more) == 0, []byte(data))
		}
		if len(a.more) > 0 {
			header(1, true, a.more)
		}
		header(3, true, get2(behind(s.turns)))
	}()
	answered := map[uint32]string{}
	ended := map[uint32]bool{}
	bodies := map[uint32]string{}
	for !ended[1] || !ended[3] {
		frame, err := framer.ReadFrame()
		if err != nil {
			break
		}
		stream := frame.Header().StreamID
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := frame.PseudoValue("status"); answered[stream] == "" && status != "100" {
				answered[stream] = status
			}
			ended[stream] = ended[stream] || frame.StreamEnded()
		case *http2.DataFrame:
			bodies[stream] += string(frame.Data())
			ended[stream] = ended[stream] || frame.StreamEnded()
		case *http2.RSTStreamFrame:
			if answered[stream] == "" {
				answered[stream] = fmt.Sprintf("reset %v", frame.ErrCode)
			}
			ended[stream] = true
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				answered[1] = fmt.Sprintf("gone %v", frame.ErrCode)
				ended[1], ended[3] = true, true
			}
		}
	}
	if got.answer = answered[1]; got.answer == "" {
		got.answer = "gone"
	}
	got.open = answered[3] == "200"
	if got.open && bodies[3] != behind(s.turns) {
		t.Errorf("%s: the request behind was answered %q", a.name, bodies[3])
	}
	if want := answersIn(a.view); got.answer == "200" && legible(bodies[1]) != strings.Join(want, "") {
		t.Errorf("%s: the answer is %q, want the one to %q", a.name, bodies[1], want)
	}
	return got
}

// get2 are the fields of a GET, and further ones.
func get2(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", shop, ":path", path}, more...)
}

// post2 are those of a POST.
func post2(path string, more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "https", ":authority", shop, ":path", path}, more...)
}
