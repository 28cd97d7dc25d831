package main

import (
	"strings"
	"testing"
)

// A job that has ended runs again as it was, its own secret included, which nobody
// sees; and with what flags change.
func TestAJobRunsAgain(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	const secret = "correct-horse-battery"
	out, stderr, code := c.hodei("run", "--detach", "--name", "once", "--secret", "TOKEN="+secret, "--", "sh", "-c", `echo "${#TOKEN} $TOKEN"; test -n "$GO" || exit 3`)
	if code != 0 {
		t.Fatal(stderr)
	}
	first := strings.TrimSpace(out)
	eventually(t, commandLimit, func() error { return c.ended(first) })
	out, stderr, code = c.hodei("job", "rerun", first, "--priority", "5")
	if want := "21 ***"; code != 3 || strings.TrimSpace(out) != want {
		t.Errorf("exit %d, it writes %q, want %q\n%s", code, out, want, stderr)
	}
	_, stderr, code = c.hodei("job", "rerun", first, "--env", "GO=1")
	if code != exitUsage || !strings.Contains(stderr, "give it again: --secret TOKEN=VALUE") || strings.Contains(stderr, secret) {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	out, stderr, code = c.hodei("job", "rerun", first, "--env", "GO=1", "--secret", "TOKEN=another-one")
	if code != 0 || strings.TrimSpace(out) != "11 ***" {
		t.Errorf("exit %d, it writes %q\n%s", code, out, stderr)
	}
	out, stderr, code = c.hodei("job", "rerun", first, "last", "--secret", "TOKEN=third", "-q")
	ids := strings.Fields(out)
	if code != 0 || len(ids) != 2 {
		t.Fatalf("exit %d, it prints %q\n%s", code, out, stderr)
	}
	for _, id := range ids {
		if out, _, _ := c.hodei("job", "get", id); !strings.Contains(out, "rerun of   ") {
			t.Errorf("it does not say what it is a rerun of:\n%s", out)
		}
	}
}
