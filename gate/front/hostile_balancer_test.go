package front

import "testing"

// A balancer's own connection (LOCAL) is one whatever stands in the rest of its header, which has to be skipped.
func TestHostileLocalWithAnything(t *testing.T) {
	d := open(t, &Server{Balancers: loopbackNetworks(), Handler: remote()})
	for name, header := range map[string]string{
		"junk":            header2(0x20, 0x00, 1, 2, 3, 4, 5),
		"junk, IPv4":      header2(0x20, 0x11, 1, 2, 3),
		"junk behind":     header2(0x20, 0x11, addresses4(9, 9, 9, 9)...),
		"nobody, no more": header2(0x20, 0x11, make([]byte, 12)...),
	} {
		if got := d.asked(t, header, true); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
