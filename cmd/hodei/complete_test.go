package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// completed asks as a shell's script does.
func completed(t *testing.T, words ...string) string {
	t.Helper()
	var out strings.Builder
	a := &app{stdout: &out, stderr: io.Discard}
	if code := a.run(t.Context(), append([]string{"__complete"}, words...)); code != exitOK {
		t.Errorf("%q: code %d", words, code)
	}
	return out.String()
}

// What a shell offers; without a server that is what this program knows itself.
func TestCompletion(t *testing.T) {
	f := isolate(t)
	t.Setenv("HODEI_TEST_VARIABLE", "x")
	if err := os.MkdirAll(os.Getenv("HODEI_CONFIG_DIR"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("HODEI_CONFIG_DIR"), lastName), []byte("7f3k9qd2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const none, noSpace = ":4\n", ":6\n"
	for _, row := range []struct {
		words      []string
		want, away string // with a server, and without
	}{
		{[]string{"job", "get", ""}, "9d2mx7ht\tpending build-web\n4kq8wz2m\tpending train-resnet\n2m7xk4ra\trunning build-web\n6wv0p3nc\tfailed test-e2e\ne1v9z3kc\tsucceeded evil\\x1b]0;owned\\x07\\u202e\n" + none, none},
		{[]string{"job", "get", "t"}, "train-resnet\tpending 4kq8wz2m\n" + none, none},
		{[]string{"job", "get", "b"}, none, none}, // two live ones have the name
		{[]string{"job", "get", "la"}, "last\tthe job submitted last from here\n" + none, none},
		{[]string{"job", "get", "2m7xk4ra", ""}, none, none},
		{[]string{"job", "cancel", "2"}, "2m7xk4ra\trunning build-web\n" + none, none},
		{[]string{"job", "cancel", "2m7xk4ra", "2"}, none, none},
		{[]string{"logs", "6"}, "6wv0p3nc\tfailed test-e2e\n" + none, none},
		{[]string{"logs", "6wv0p3nc", "--step", "i"}, "install\tsucceeded\n" + none, none},
		{[]string{"worker", "get", "b"}, "borea\tonline\n" + none, none},
		{[]string{"secret", "delete", "d"}, "db-password\ndeploy-key\n" + none, none},
		{[]string{"run", "--requires", ""}, "arch=amd64\narch=arm64\ndisk=ssd\nos=linux\n" + none, none},
		{[]string{"run", "--secret-from", "DB=db"}, "DB=db-password\n" + none, none},
		{[]string{"job", "list", "-n", ""}, "default\nsandbox\nweb\n" + none, none},
		{[]string{"events", "--stream", "worker-b"}, "worker-borea\tonline\n" + none, none},
		{[]string{"events", "--stream", "job-4"}, "job-4kq8wz2m\tpending train-resnet\n" + none, none},

		{[]string{"events", "--stream", "s"}, "secret-\nserver-\nsettings\n" + none, "secret-\nserver-\nsettings\n" + none},
		{[]string{"run", "-e", "HODEI_TEST_V"}, "HODEI_TEST_VARIABLE\n" + noSpace, "HODEI_TEST_VARIABLE\n" + noSpace},
		{[]string{"job", "list", "--state", "running,f"}, "running,failed\n" + noSpace, "running,failed\n" + noSpace},
		{[]string{"events", "--type", "JobF"}, "JobFailed\n" + noSpace, "JobFailed\n" + noSpace},
		{[]string{"run", "--retry-on", "exit,d"}, "exit,disk_full\n" + noSpace, "exit,disk_full\n" + noSpace},
		{[]string{"logs", "--stream", "std"}, "stdout\nstderr\n" + none, "stdout\nstderr\n" + none},
		{[]string{"queue", "-o", ""}, "table\njson\nyaml\n" + none, "table\njson\nyaml\n" + none},
		{[]string{"worker", "list", "-o", ""}, "table\njson\nyaml\nname\n" + none, "table\njson\nyaml\nname\n" + none},
		{[]string{"run", "--progress", "p"}, "plain\n" + none, "plain\n" + none},
		{[]string{"dev", "--log-level", "w"}, "warn\n" + none, "warn\n" + none},
		{[]string{"dev", "--data", ""}, ":16\n", ":16\n"},
		{[]string{"run", "-f", ""}, ":0\n", ":0\n"},
		{[]string{"run", "--name", ""}, none, none},
		{[]string{"queue", ""}, none, none},
		{[]string{"completion", ""}, "bash\nzsh\nfish\n" + none, "bash\nzsh\nfish\n" + none},
		{[]string{"help", "job", "c"}, "cancel\n" + none, "cancel\n" + none},
	} {
		if got := completed(t, row.words...); got != row.want {
			t.Errorf("%q: %q, want %q", row.words, got, row.want)
		}
		t.Setenv("HODEI_API_URL", "http://127.0.0.1:1")
		if got := completed(t, row.words...); got != row.away {
			t.Errorf("%q without a server: %q, want %q", row.words, got, row.away)
		}
		t.Setenv("HODEI_API_URL", f.URL)
	}
}

// A server that takes the connection and then says nothing is given up at once.
func TestCompletionDoesNotWait(t *testing.T) {
	isolate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	t.Setenv("HODEI_API_URL", "http://"+l.Addr().String())
	if got := completed(t, "job", "get", ""); got != ":4\n" {
		t.Errorf("%q", got)
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, part := range map[string]string{"bash": "__start_hodei", "zsh": "#compdef hodei", "fish": "complete -c hodei"} {
		var out, errs strings.Builder
		a := &app{stdout: &out, stderr: &errs}
		if code := a.run(t.Context(), []string{"completion", shell}); code != exitOK || !strings.Contains(out.String(), part) {
			t.Errorf("%s: code %d, %d bytes, %s", shell, code, out.Len(), errs.String())
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}} {
		var out, errs strings.Builder
		a := &app{stdout: &out, stderr: &errs}
		if code := a.run(t.Context(), args); code != exitUsage || out.Len() > 0 || !strings.Contains(errs.String(), "bash") {
			t.Errorf("%v: code %d, %s%s", args, code, out.String(), errs.String())
		}
	}
}
