package main

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/api/people/peopletest"
)

// unused is an address that nobody listens on at present.
func unused(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// withPeople is a server at which people sign in.
func withPeople(t *testing.T, roles string) *cluster {
	t.Helper()
	binaries(t)
	c := &cluster{t: t, dir: t.TempDir(), command: "server", http: unused(t), grpc: "127.0.0.1:0"}
	t.Cleanup(c.end)
	secret := filepath.Join(c.dir, "secret")
	if err := os.WriteFile(secret, []byte(peopletest.ClientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.args = []string{"--oidc-issuer", peopletest.Start(t, "http://"+c.http+callbackPath), "--oidc-client-id", peopletest.ClientID,
		"--oidc-client-secret-file", secret, "--oidc-roles", roles}
	c.start()
	return c
}

// Somebody signs in in a browser, works on the command line as who they are, and
// signs out; their name is in a file of its own and not in the log.
func TestSomebodySignsInAndOut(t *testing.T) {
	t.Parallel()
	c := withPeople(t, "email:"+peopletest.Email+"=submitter@default")
	login := c.cli("login", "--no-browser", "-q")
	errs, err := login.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	login.Stdout = &out
	if err := login.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(errs).ReadString('\n')
	page, ok := strings.CutPrefix(strings.TrimSpace(line), "sign in at ")
	if !ok {
		t.Fatalf("it says %q, %v", line, err)
	}
	if end, body := peopletest.SignIn(t, peopletest.Browser(t, ""), page); end.StatusCode != 200 || !strings.HasPrefix(body, "You have signed in") {
		t.Errorf("the browser ends at %d %s", end.StatusCode, body)
	}
	if err := login.Wait(); err != nil || !strings.Contains(out.String(), "as "+peopletest.Email+", submitter in namespace default, until ") {
		t.Errorf("hodei login: %v, %s", err, out.String())
	}
	dir := filepath.Join(c.dir, "config")
	if info, err := os.Stat(filepath.Join(dir, tokenName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info, err)
	}
	if _, errs, code := c.hodei("run", "--detach", "--", "true"); code != 0 {
		t.Errorf("a submission: %d %s", code, errs)
	}
	if _, errs, code := c.hodei("token", "list"); code != exitDenied {
		t.Errorf("a submitter lists tokens: %d %s", code, errs)
	}
	c.stop(os.Interrupt)
	c.start()
	tokens, _, _ := c.admin("token", "list")
	if !strings.Contains(tokens, peopletest.Email) {
		t.Errorf("after a restart the tokens are\n%s", tokens)
	}
	events, _, code := c.admin("events", "-o", "json", "--limit", "1000")
	if code != 0 || strings.Contains(events, "zitadel") {
		t.Errorf("the log has their name: %d %s", code, events)
	}
	plain := readLine(filepath.Join(dir, tokenName))
	if out, errs, code := c.hodei("logout"); code != 0 || out != "signed out\n" {
		t.Errorf("hodei logout: %d %s%s", code, out, errs)
	}
	if _, _, code := c.hodei("job", "list"); code != exitDenied {
		t.Errorf("after it: %d", code)
	}
	file := filepath.Join(c.dir, "old")
	if err := keep(file, plain); err != nil {
		t.Fatal(err)
	}
	if _, _, code := c.hodei("job", "list", "--token-file", file); code != exitDenied {
		t.Errorf("the session is still good for %d", code)
	}
}

// A token is kept as well, and a logout takes it from nobody else; a server without
// a provider says so.
func TestLoginWithAToken(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	if _, errs, code := c.hodei("login", "--no-browser"); code != exitRefused || !strings.Contains(errs, "--with-token") {
		t.Errorf("without a provider: %d %s", code, errs)
	}
	made, _, _ := c.hodei("token", "create", "mine", "--role", "viewer")
	with := func(stdin string) (string, int) {
		cmd := c.cli("login", "--with-token")
		cmd.Stdin = strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := with("hodei_nonsense"); code != exitDenied {
		t.Errorf("no token at all: %d %s", code, out)
	}
	if out, code := with(made); code != 0 || !strings.Contains(out, "as mine, viewer in all namespaces") {
		t.Errorf("%d %s", code, out)
	}
	if _, _, code := c.hodei("run", "--detach", "--", "true"); code != exitJobNoResult {
		t.Errorf("the viewer submits: %d", code)
	}
	if out, errs, code := c.hodei("logout"); code != 0 {
		t.Errorf("hodei logout: %d %s%s", code, out, errs)
	}
	file := filepath.Join(c.dir, "mine")
	if err := keep(file, strings.TrimSpace(made)); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := c.hodei("job", "list", "--token-file", file); code != 0 {
		t.Errorf("the token has ended with the logout: %d %s", code, errs)
	}
}
