//go:build peers

package peers

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// coalescers are the clients that use one connection for several hosts where a certificate covers them.
func coalescers() []client {
	return []client{{"chromium-shared-h2", overTwo, 0, visitChromium}, {"firefox-shared-h2", overTwo, 0, visitFirefox}}
}

// visitChromium trusts the root through the NSS database of a home of its own.
func visitChromium(t *testing.T, w *tour) visited {
	home := folder(t)
	w.trustNSS(t, filepath.Join(home, ".pki", "nssdb"))
	chromium := tool(t, "chromium", fromChromium)
	args := []string{"HOME=" + home, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-quic", "--no-first-run", "--no-default-browser-check", "--disable-background-networking", "--disable-component-update",
		"--disable-default-apps", "--disable-extensions", "--disable-sync", "--disable-domain-reliability", "--disable-breakpad",
		"--metrics-recording-only", "--user-data-dir=" + filepath.Join(home, "profile")}
	if w.proto == overOne {
		args = append(args, "--disable-http2")
	}
	v := w.browse(t, args...)
	v.version = versionOf(t, chromium)
	return v
}

// firefoxPrefs keep Firefox to the pages it is given.
const firefoxPrefs = `
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("app.update.auto", false);
user_pref("browser.aboutConfig.showWarning", false);
user_pref("browser.newtabpage.enabled", false);
user_pref("browser.region.network.url", "");
user_pref("browser.safebrowsing.blockedURIs.enabled", false);
user_pref("browser.safebrowsing.downloads.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.search.update", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.healthreport.uploadEnabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("datareporting.policy.dataSubmissionPolicyBypassNotification", true);
user_pref("dom.push.connection.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("media.gmp-manager.updateEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.trr.mode", 5);
user_pref("network.manage-offline-status", false);
user_pref("network.http.http3.enable", false);
user_pref("services.settings.server", "data:,");
user_pref("termsofuse.bypassNotification", true);
user_pref("toolkit.telemetry.enabled", false);
user_pref("toolkit.telemetry.unified", false);
user_pref("toolkit.telemetry.server", "");
`

// visitFirefox trusts the root through its profile's NSS database.
func visitFirefox(t *testing.T, w *tour) visited {
	home := folder(t)
	profile := filepath.Join(home, "profile")
	prefs := firefoxPrefs + fmt.Sprintf("user_pref(\"network.http.http2.enabled\", %t);\n", w.proto == overTwo)
	write(t, filepath.Join(profile, "user.js"), []byte(prefs))
	w.trustNSS(t, profile)
	firefox := tool(t, "firefox-esr", fromFirefox)
	v := w.browse(t, "HOME="+home, "MOZ_CRASHREPORTER_DISABLE=1", firefox, "--headless", "--no-remote", "--profile", profile)
	v.version = versionOf(t, firefox)
	return v
}

func (w *tour) trustNSS(t *testing.T, dir string) {
	t.Helper()
	certutil := tool(t, "certutil", fromNSS)
	write(t, filepath.Join(dir, "new"), nil)
	output(t, certutil, "-N", "-d", "sql:"+dir, "--empty-password")
	output(t, certutil, "-A", "-d", "sql:"+dir, "-t", "C,,", "-n", "root", "-i", w.root)
}

// browse opens a page on one site, from which the browser goes on to a page on the other. Each page reports how its
// requests went. The command is env's: variables, a program, its arguments.
func (w *tour) browse(t *testing.T, command ...string) visited {
	t.Helper()
	last := fmt.Sprintf("https://%s/page?%s", hostTwo, w.id)
	var trouble strings.Builder
	cmd := exec.Command("env", append(command, fmt.Sprintf("https://%s/page?%s#next=%s", hostOne, w.id, last))...)
	cmd.Stderr = &trouble
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // its children have its stderr, too, and are waited for
	v := visited{want: map[asked]int{}}
	for _, host := range []string{hostOne, hostTwo} {
		select {
		case report := <-w.origin.reports:
			v.add(t, w, host, report)
		case err := <-ended:
			t.Fatalf("the browser ended before it reported from %s: %v\n%s", host, err, trouble.String())
		case <-time.After(patience / 2):
			t.Errorf("no report from %s", host)
		}
	}
	syscall.Kill(cmd.Process.Pid, syscall.SIGTERM)
	<-ended
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever is left
	if t.Failed() {
		t.Logf("the browser said\n%s", trouble.String())
	}
	return v
}

// add takes in what a page reports, and what it took to do so.
func (v *visited) add(t *testing.T, w *tour, host, report string) {
	t.Helper()
	version, rest, _ := strings.Cut(report, "\n")
	parts, rest, _ := strings.Cut(rest, "\n")
	if parts != fmt.Sprintf("parts %d", partCount) {
		t.Errorf("%s has %q, want %d", host, parts, partCount)
	}
	page := told(t, version+"\n"+rest)
	v.version, v.seen = page.version, append(v.seen, page.seen...)
	want := maps.Clone(w.standard())
	for i := range partCount {
		want[asked{"GET", fmt.Sprintf("https://%s/part/%d.js?%s", clientHosts[i%len(clientHosts)], i, w.id)}]++
	}
	for _, a := range []asked{{"GET", "/page"}, {"POST", "/report"}} {
		want[asked{a.method, "https://" + host + a.url + "?" + w.id}]++
	}
	for a, n := range want {
		v.want[a] += n
	}
}
