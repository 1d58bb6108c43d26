//go:build !unix

package origin

import "net"

// alive cannot look into a socket here. A request that can be repeated finds out by itself; another one is sent on.
func alive(net.Conn) bool { return true }
