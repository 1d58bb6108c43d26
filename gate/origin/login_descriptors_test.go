package origin

import (
	"fmt"
	"testing"
)

// Connections that are kept for their clients make way where there are no descriptors for others.
func TestLoginsMakeWay(t *testing.T) {
	t.Parallel()
	p := &personal{scheme: "NTLM"}
	o, err := New(Config{Servers: []string{"http://" + listen(t, nil, p.converse)}, Descriptors: NewDescriptors(3)})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	g := connected(t, o, false)
	half := g.visitor(t)
	half.ask("GET", "NTLM "+token("eve"))
	for i := range 4 {
		name := fmt.Sprint("person", i)
		if status, person := g.visitor(t).login("NTLM", name); status != 200 || person != name {
			t.Errorf("%s: %d %q", name, status, person)
		}
	}
	if status, _ := half.ask("GET", "NTLM "+token("eve/"+half.step)); status != 502 {
		t.Errorf("the next step of a login whose connection has made way: %d", status)
	}
	if status, person := half.login("NTLM", "eve"); status != 200 || person != "eve" {
		t.Errorf("another login: %d %q", status, person)
	}
}
