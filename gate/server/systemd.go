package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"gate421/gate/hint"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// activated are the sockets that systemd opened for this process (LISTEN_FDS), by the configuration's key. They stay
// open while the process is restarted: clients that connect meanwhile wait, and are not reset.
type activated map[string]net.Listener

// socketKeys are the names that FileDescriptorName= may give and the keys they stand for, in the order in which sockets
// without such a name are taken.
func socketKeys() [][2]string {
	return [][2]string{{"https", "listen.https"}, {"http", "listen.http"}, {"admin", "admin"}}
}

// activatedListeners takes the sockets over, once: the next call finds none.
func activatedListeners() (activated, error) {
	sockets := activated{}
	var nameless []net.Listener
	var errs []error
	names := socketKeys()
	for i, file := range activation.Files(true) {
		l, err := net.FileListener(file)
		file.Close()
		if _, ok := l.(*net.TCPListener); err == nil && !ok {
			l.Close()
			err = errors.New("it is not TCP")
		}
		if err != nil {
			err = fmt.Errorf("systemd's socket %d (%s) cannot be listened on: %w", i+1, file.Name(), hint.Cause(err))
			errs = append(errs, err)
			continue
		}
		at := slices.IndexFunc(names, func(n [2]string) bool { return n[0] == file.Name() })
		switch {
		case at < 0:
			nameless = append(nameless, l)
		case sockets[names[at][1]] != nil: // under another key it would be served wrongly
			errs = append(errs, fmt.Errorf("systemd's socket %s is one too many under the name %s", l.Addr(), file.Name()))
			l.Close()
		default:
			sockets[names[at][1]] = l
		}
	}
	for _, name := range names {
		if len(nameless) > 0 && sockets[name[1]] == nil {
			sockets[name[1]], nameless = nameless[0], nameless[1:]
		}
	}
	for _, l := range nameless {
		errs = append(errs, fmt.Errorf("systemd's socket %s is one too many", l.Addr()))
		l.Close()
	}
	if len(errs) > 0 {
		sockets.close()
		return nil, hint.Add(errors.Join(errs...),
			"deploy/systemd/gate421.socket is an example: ListenStream= for https, then for http, then for the page")
	}
	return sockets, nil
}

func (a activated) close() {
	for _, l := range a {
		l.Close()
	}
}

// Notifications for systemd (sd_notify). Without systemd they do nothing.

func notifyReady() { daemon.SdNotify(false, daemon.SdNotifyReady) }

func notifyReloading() {
	daemon.SdNotify(false, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
}

// notifyStopping also extends the time before systemd kills the process to a little more than the end may take,
// whatever TimeoutStopSec= says.
func notifyStopping(takes time.Duration) {
	extended := (takes + 10*time.Second).Microseconds()
	daemon.SdNotify(false, fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, extended))
}

func notifyAlive() { daemon.SdNotify(false, daemon.SdNotifyWatchdog) }

// watchdogTicks ticks twice per WatchdogSec=; nil without it.
func watchdogTicks(ctx context.Context) <-chan time.Time {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every < 2 {
		return nil
	}
	ticker := time.NewTicker(every / 2)
	context.AfterFunc(ctx, ticker.Stop)
	return ticker.C
}
