package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/api/wire"
)

// When tokens were last used is still known after a restart; a token that is made
// on the command line does what it says, and no more.
func TestTokensAndNamespacesOfAServer(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ok := func(args ...string) string {
		t.Helper()
		out, errs, code := c.hodei(args...)
		if code != 0 {
			t.Fatalf("hodei %q: %d %s", args, code, errs)
		}
		return out
	}
	ok("namespace", "create", "web")
	made := ok("token", "create", "ci", "--role", "submitter", "-n", "web")
	file := t.TempDir() + "/token"
	if err := keep(file, strings.TrimSpace(made)); err != nil {
		t.Fatal(err)
	}
	ok("run", "--token-file", file, "--detach", "--", "true")
	if _, errs, code := c.hodei("token", "list", "--token-file", file); code != exitDenied {
		t.Errorf("a submitter may list tokens: %d %s", code, errs)
	}
	list := func() (ci wire.Token) {
		t.Helper()
		var page wire.Tokens
		if err := json.Unmarshal([]byte(ok("token", "list", "-n", "web", "-o", "json")), &page); err != nil || len(page.Items) != 1 {
			t.Fatalf("%+v, %v", page, err)
		}
		return page.Items[0]
	}
	before := list()
	if before.Used == nil || before.Namespace != "web" {
		t.Fatalf("it is listed as %+v", before)
	}
	if code := c.stop(os.Interrupt); code != exitOK && code != exitInterrupted {
		t.Errorf("it stopped with %d", code)
	}
	c.start()
	if after := list(); after.Used == nil || !after.Used.Equal(*before.Used) {
		t.Errorf("after a restart it was used at %v, before at %v", after.Used, before.Used)
	}
	ok("token", "revoke", before.ID)
	if _, errs, code := c.hodei("job", "list", "--token-file", file); code != exitDenied {
		t.Errorf("a revoked token: %d %s", code, errs)
	}
}
