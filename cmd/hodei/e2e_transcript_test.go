package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// measured replaces what differs from run to run: ids, times, sizes, positions.
var measured = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d `), ""},
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`), "TIME"},
	{regexp.MustCompile(`once=[A-Z2-7]+`), "once=CODE"},
	{regexp.MustCompile(`-dev \([0-9a-f]{8}\+?\)`), "-dev"},
	{regexp.MustCompile(`grpcs://127\.0\.0\.1:\d+`), "grpcs://SERVER"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://SERVER"},
	{regexp.MustCompile(`\b(job|worker|token|server)-[0-9a-hjkmnp-tv-z]{8}\b`), "$1-ID"},
	{regexp.MustCompile(`\b(\d+d\d+h|\d+h\d+m|\d+m\d+s|\d+(\.\d+)?m?s)\b`), "TOOK"},
	{regexp.MustCompile(`\d+(\.\d+)?/(\d+(\.\d+)?|-)/\d+(\.\d+)?\b`), "CPU"},
	{regexp.MustCompile(`\d+(\.\d+)? (B|KiB|MiB|GiB)(/(\d+(\.\d+)? (B|KiB|MiB|GiB)|-)/\d+(\.\d+)? (B|KiB|MiB|GiB))?`), "SIZE"},
	{regexp.MustCompile(`#\d+|\bc\d+\b`), "#N"},
	{regexp.MustCompile(`local, linux/\w+, \d+ CPU, SIZE`), "local, OS/ARCH, CPU, SIZE"},
	{regexp.MustCompile(`(?m)^\d+ TIME`), "N TIME"},
	{regexp.MustCompile(`, \d+(\.\d+)? CPU\b`), ", CPU"},
	{regexp.MustCompile(`(?m)^used +.*\n`), ""},
	{regexp.MustCompile(`largest has \d+`), "largest has N"},
	{regexp.MustCompile(`(, |(?m)^)peak +SIZE(, CPU)?`), ""},
	{regexp.MustCompile(`by [0-9a-hjkmnp-tv-z]{8}, in`), "by ACTOR, in"},
	{regexp.MustCompile(`\d+(\.\d+)?/\d+(\.\d+)? CPU reserved`), "CPU/CPU reserved"},
	{regexp.MustCompile(`CPU GiB`), "MEM"},
	{regexp.MustCompile(` {2,}`), "  "},
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
}

func (c *cluster) transcript(b *strings.Builder, ids map[string]string, args ...string) {
	c.t.Helper()
	stdout, stderr, code := c.hodei(args...)
	fmt.Fprintf(b, "$ hodei %s   «exit %d»\n%s", strings.Join(args, " "), code, stdout)
	for line := range strings.Lines(stderr) {
		b.WriteString("2| " + line)
	}
	b.WriteString("\n")
	for id, name := range ids {
		s := strings.ReplaceAll(b.String(), id, name)
		b.Reset()
		b.WriteString(s)
	}
}

// ended says of a job that has not ended how it is.
func (c *cluster) ended(id string) error {
	j, err := c.client().Job(c.t.Context(), id)
	if err == nil && !j.Terminal() {
		err = fmt.Errorf("job %s is %s: %s", id, j.State, j.Summary)
	}
	return err
}

// What people see of a small life on a real cluster: golden, but for ids, times
// and sizes.
func TestTranscriptOfARealCluster(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	eventually(t, commandLimit, func() error {
		page, err := c.client().Workers(t.Context(), "")
		if err == nil && (len(page.Items) != 1 || page.Items[0].State != "online") {
			err = fmt.Errorf("the worker is not online: %+v", page.Items)
		}
		return err
	})
	ids := map[string]string{}
	submit := func(name string, args ...string) string {
		t.Helper()
		out, stderr, code := c.hodei(append([]string{"run", "--detach", "--name", name}, args...)...)
		if code != 0 {
			t.Fatal(stderr)
		}
		id := strings.TrimSpace(out)
		ids[id] = strings.ToUpper(name)
		return id
	}
	page, err := c.client().Workers(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ids[page.Items[0].ID] = "WORKER"
	build := submit("build", "--", "sh", "-c", "echo compiled; exit 3")
	flaky := submit("flaky", "--retries", "1", "--backoff", "1s", "--", "sh", "-c", "exit 2")
	large := submit("large", "--cpu", "1000", "--", "true")
	gpu := submit("gpu", "--requires", "gpu=a100", "--", "true")
	for _, id := range []string{build, flaky} {
		eventually(t, commandLimit, func() error { return c.ended(id) })
	}
	dir := t.TempDir()
	bad := filepath.Join(dir, "job.yaml")
	if err := os.WriteFile(bad, []byte("command: make\nresources:\n  memory: 2 gigs\nretrys: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("$ hodei dev\n")
	for line := range strings.Lines(c.serverLog()) {
		b.WriteString("2| " + line)
	}
	fmt.Fprintf(&b, "ready http=http://%s grpc=grpcs://%s\n\n", c.http, c.grpc)
	for _, args := range [][]string{
		{"job", "list"}, {"job", "get", build}, {"job", "get", flaky}, {"job", "events", build}, {"logs", build}, {"queue"}, {"worker", "list"}, {"worker", "get", "local"},
		{"job", "cancel", large, "--reason", "too large"}, {"job", "cancel", large}, {"job", "list", "--state", "cancelled"},
		{"status"}, {"job", "get", "zzzzzzzz"}, {"run", "-f", bad}, {"run", "--cpu", "many", "--", "true"}, {"job", "list", "--server", "http://127.0.0.1:1"},
		{"job", "cancel", gpu, "-q"},
	} {
		c.transcript(&b, ids, args...)
	}
	got := strings.NewReplacer(dir, "DIR", c.dir, "HOME").Replace(b.String())
	for _, m := range measured {
		got = m.pattern.ReplaceAllString(got, m.with)
	}
	goldenFile(t, "real.golden", got)
}

// goldenFile compares a text with the one kept in testdata; -update keeps it.
func goldenFile(t *testing.T, name, got string) {
	t.Helper()
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
