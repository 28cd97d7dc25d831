// Package peopletest runs a real OpenID provider for tests, the example of zitadel's
// library. The program is built into .tools/bin by `task oidc`.
package peopletest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How the provider is asked, and the only person it knows to the tests.
const (
	ClientID     = "web"
	ClientSecret = "secret"
	Email        = "test-user@zitadel.ch"

	user     = "test-user@localhost"
	password = "verysecure"
)

const (
	startLimit = 20 * time.Second
	startLook  = 20 * time.Millisecond
	askLimit   = 20 * time.Second
)

// Start starts a provider that sends browsers back to redirect, and returns its
// issuer. It ends with the test. Without the program the test is skipped, or fails
// under HODEI_REQUIRE_ALL.
func Start(t testing.TB, redirect string) (issuer string) {
	t.Helper()
	program, err := find()
	if err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no OpenID provider to test with: %v; build it with: task oidc", err)
		}
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p := exec.CommandContext(context.WithoutCancel(t.Context()), program)
	p.Env = append(os.Environ(), "PORT="+port, "REDIRECT_URI="+redirect)
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	look := time.NewTicker(startLook)
	defer look.Stop()
	for end := time.Now().Add(startLimit); ; <-look.C {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", "localhost:"+port)
		if err == nil {
			_ = c.Close()
			return "http://localhost:" + port + "/"
		}
		if time.Now().After(end) {
			t.Fatalf("the OpenID provider does not answer: %v", err)
		}
	}
}

// find looks for the program from the folder of the test up to the repository's.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			program := filepath.Join(dir, ".tools", "bin", "oidc-provider")
			_, err := os.Stat(program)
			return program, err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// Browser is one with cookies that follows redirects, but not those to hold.
func Browser(t testing.TB, hold string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: askLimit, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if hold != "" && strings.HasPrefix(r.URL.String(), hold) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

var formID = regexp.MustCompile(`name="id" value="([^"]+)"`)

// SignIn opens a page that leads to the provider, gives name and password there,
// and returns the answer at the end of the way back, with its body.
func SignIn(t testing.TB, browser *http.Client, page string) (*http.Response, string) {
	t.Helper()
	form, body := do(t, browser, http.MethodGet, page, "")
	id := formID.FindStringSubmatch(body)
	if id == nil {
		t.Fatalf("%s is no form to sign in: %d %s", form.Request.URL, form.StatusCode, body)
	}
	return do(t, browser, http.MethodPost, form.Request.URL.String(), url.Values{"id": {id[1]}, "username": {user}, "password": {password}}.Encode())
}

func do(t testing.TB, browser *http.Client, method, page, form string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, page, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}
