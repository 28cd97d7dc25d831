package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/cmd/hodei/table"
	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// silentServer is a server that takes requests and never answers.
func silentServer(t *testing.T) string {
	t.Helper()
	end := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(end); s.Close() })
	return s.URL
}

// A command with a timeout ends when that is over, with the code of a server that
// does not answer, and says what may have been done.
func TestTimeout(t *testing.T) {
	isolate(t)
	t.Setenv("HODEI_API_URL", silentServer(t))
	for _, row := range []struct {
		command string
		code    int
		help    string
	}{
		{"job list", exitUnreachable, ""},
		{"job wait 7f3k9qd2", exitUnreachable, ""},
		{"job wait 7f3k9qd2 --exit-code", exitJobNoResult, ""},
		{"logs -f 7f3k9qd2", exitUnreachable, ""},
		{"events -f", exitUnreachable, ""},
		{"job cancel 7f3k9qd2 --yes 9d2mx7ht", exitUnreachable, "  help: what was asked for may have been done: look before you try again\n"},
	} {
		var errs strings.Builder
		a := &app{stdout: &errs, stderr: &errs}
		words := strings.Fields(row.command)
		code := a.run(t.Context(), append(words, "--timeout", "50ms"))
		path := a.command.CommandPath()
		if want := "error: " + path + " did not end within 50ms, which is its --timeout\n" + row.help; code != row.code || errs.String() != want {
			t.Errorf("%s: code %d, want %d; said\n%swant\n%s", row.command, code, row.code, errs.String(), want)
		}
	}
}

func TestShortly(t *testing.T) {
	for d, want := range map[time.Duration]string{50 * time.Millisecond: "50ms", 5 * time.Minute: "5m", 2 * time.Hour: "2h", 90 * time.Second: "1m30s", 3610 * time.Second: "1h0m10s"} {
		if got := shortly(d); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}

// Each table can be made of any of its columns: their names are words that a shell
// takes as they are, and the shell completes them.
func TestColumnsHaveNames(t *testing.T) {
	isolate(t)
	for command, columns := range map[string][]table.Column{"job list": jobColumns, "queue": queueColumns, "worker list": workerColumns, "secret list": secretColumns} {
		var out strings.Builder
		a := &app{stdout: &out, stderr: &out}
		a.run(t.Context(), append(append([]string{"__complete"}, strings.Fields(command)...), "--columns", "x,"))
		names := table.Names(columns)
		for i, name := range names {
			if !plain(name) || !strings.Contains(out.String(), "x,"+name+"\n") {
				t.Errorf("%s: column %q is not completed:\n%s", command, name, out.String())
			}
			out := strings.Builder{}
			a := &app{stdout: &out, stderr: &out}
			if code := a.run(t.Context(), append(strings.Fields(command), "--columns", name, "-q")); code != exitOK || !strings.HasPrefix(strings.TrimLeft(out.String(), " "), columns[i].Name) {
				t.Errorf("%s --columns %s: code %d, %s", command, name, code, out.String())
			}
		}
	}
}

// Only what -A is for has it, and it wins over all but -n.
func TestAllNamespaces(t *testing.T) {
	isolate(t)
	t.Setenv("HODEI_NAMESPACE", "web")
	for _, all := range []bool{false, true} {
		a := &app{allNamespaces: all}
		found, err := a.findAccess()
		if want := map[bool]string{false: "web"}[all]; err != nil || found.namespace != want {
			t.Errorf("-A %v: namespace %q, %v; want %q", all, found.namespace, err, want)
		}
	}
}

// At a terminal a person is asked before many things are ended, with their number;
// what is not a yes is a no, and Ctrl-C leaves.
func TestManyAreAskedFor(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	var jobs []string
	for range 7 {
		id, stderr, code := c.hodei("run", "--detach", "--cpu", "1000", "--", "true")
		if code != exitOK {
			t.Fatal(stderr)
		}
		jobs = append(jobs, strings.TrimSpace(id))
	}
	live := func(want int) {
		t.Helper()
		out, stderr, code := c.hodei("job", "list", "--state", "pending", "-q", "--columns", "job")
		if n := strings.Count(out, "\n") - 1; code != exitOK || n != want {
			t.Errorf("%d jobs wait, want %d: %s%s", n, want, out, stderr)
		}
	}
	for _, row := range []struct {
		args   []string
		typed  string
		code   int
		shown  string
		remain int
	}{
		{append([]string{"job", "cancel"}, jobs...), "\n", exitNo, "cancel 7 jobs: " + strings.Join(jobs[:askedShown], ", ") + " and 2 more? [y/N] \r\nnothing was cancelled\r\n", 7},
		{append([]string{"job", "cancel"}, jobs...), "\x03", exitInterrupted, "and 2 more? [y/N] ^C\r\n", 7},
		{append([]string{"job", "cancel"}, jobs...), "\x04", exitNo, "nothing was cancelled\r\n", 7},
		{[]string{"job", "cancel", jobs[0], jobs[1]}, "Yes\n", exitOK, "cancel 2 jobs: " + jobs[0] + ", " + jobs[1] + "? [y/N] Yes\r\n" + jobs[0] + " cancelled\r\n", 5},
		{[]string{"job", "cancel", jobs[2], jobs[3], "--no-input"}, "", exitUsage, "error: cannot cancel 2 jobs: --no-input keeps it from asking\r\n", 5},
		{[]string{"job", "cancel", jobs[2], jobs[3], "-y"}, "", exitOK, jobs[3] + " cancelled\r\n", 3},
		{[]string{"job", "cancel", jobs[4]}, "", exitOK, jobs[4] + " cancelled\r\n", 2},
		{[]string{"secret", "delete", "one", "two"}, "n\n", exitNo, "delete 2 secrets: one, two? [y/N] n\r\nnothing was deleted\r\n", 2},
		{[]string{"secret", "set", "one", "--no-input"}, "", exitUsage, "error: there is no value for one: --no-input keeps it from asking\r\n", 2},
	} {
		x := c.onTerminal([]string{"NO_COLOR=1"}, row.args...)
		if row.typed != "" {
			x.until("[y/N] ")
			if _, err := x.master.WriteString(row.typed); err != nil {
				t.Fatal(err)
			}
		}
		if code := x.end(); code != row.code || !strings.Contains(x.shown(), row.shown) {
			t.Errorf("%v, then %q: code %d, want %d; shown %q, want %q in it", row.args, row.typed, code, row.code, x.shown(), row.shown)
		}
		live(row.remain)
	}
}

// On a terminal a table that was asked for in parts shows all of them.
func TestChosenColumnsAreNotDropped(t *testing.T) {
	narrow := term.Style{Terminal: true, Width: 10}
	var out strings.Builder
	chosen := (&app{chosen: []string{"try", "JOB"}}).table(jobColumns)
	chosen.Row(table.Text("7f3k9qd2"), table.Text("pending"), table.Text("make"), table.Text("web"), table.Text(""), table.Text("1"), table.Text("2s"), table.Text(""), table.Text(""))
	if err := chosen.Write(&out, narrow); err != nil || out.String() != "TRY  JOB\n  1  7f3k9qd2\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
