package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Words that are not UTF-8 would reach a server as other words. They are refused,
// and what may be a secret is not shown.
func TestWordsThatAreNotUTF8AreRefused(t *testing.T) {
	isolate(t)
	t.Setenv("NOT_TEXT", "hunter\xff2")
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "--", "echo", "caf\xe9"}, `argument 2 is not UTF-8: caf\xe9`},
		{[]string{"job", "get", "\xff"}, `argument 1 is not UTF-8: \xff`},
		{[]string{"run", "--name", "a\xc3", "--", "make"}, `--name is not UTF-8: a\xc3`},
		{[]string{"run", "-e", "A=1", "-e", "B=\x80", "--", "make"}, `--env is not UTF-8: B=\x80`},
		{[]string{"run", "-e", "NOT_TEXT", "--", "make"}, `--env NOT_TEXT is not UTF-8: the variable here is hunter\xff2`},
		{[]string{"run", "--secret", "A=hunter\xff2", "--", "make"}, `--secret A is not UTF-8`},
		{[]string{"run", "--secret", "NOT_TEXT", "--", "make"}, `--secret NOT_TEXT, taken from here, is not UTF-8`},
		{[]string{"job", "list", "-n", "\xff"}, `--namespace is not UTF-8: \xff`},
		{[]string{"secret", "set", "\xff"}, `argument 1 is not UTF-8: \xff`},
	} {
		var out, errs strings.Builder
		a := &app{stdout: &out, stderr: &errs}
		code := a.run(t.Context(), row.args)
		first, _, _ := strings.Cut(errs.String(), "\n")
		if code != exitUsage || first != "error: "+row.want || out.Len() > 0 {
			t.Errorf("%q: code %d, %s%s, want %s", row.args, code, errs.String(), out.String(), row.want)
		}
		if secret := row.args[1] == "--secret"; secret && strings.Contains(errs.String(), "hunter") {
			t.Errorf("%q shows the secret: %s", row.args, errs.String())
		}
	}
}

// Names of files are the system's, which knows no UTF-8.
func TestAFileMayHaveAnyName(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	job, result := filepath.Join(dir, "caf\xe9.yaml"), filepath.Join(dir, "r\xff.json")
	if err := os.WriteFile(job, []byte("name: make\ncommand: make\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	a := &app{stdout: &out, stderr: &errs}
	if code := a.run(t.Context(), []string{"run", "-f", job, "--result", result}); code != exitOK {
		t.Fatalf("code %d: %s", code, errs.String())
	}
	b, err := os.ReadFile(result)
	var ended map[string]any
	if err != nil || json.Unmarshal(b, &ended) != nil || ended["state"] != "succeeded" {
		t.Errorf("the result is %s, %v", b, err)
	}
}

// That a file can be written is known before the job is submitted, and leaves
// nothing behind.
func TestAResultThatCannotBeWrittenIsToldOfBeforeTheJobIsSubmitted(t *testing.T) {
	f := isolate(t)
	dir := t.TempDir()
	kept, fresh := filepath.Join(dir, "kept"), filepath.Join(dir, "fresh")
	if err := os.WriteFile(kept, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{kept, fresh, "/dev/null"} {
		if err := writable(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if b, err := os.ReadFile(kept); err != nil || string(b) != "old" {
		t.Errorf("what was there is %q, %v", b, err)
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a file is left behind")
	}
	before := len(f.jobs)
	var errs strings.Builder
	a := &app{stdout: &errs, stderr: &errs}
	if code := a.run(t.Context(), []string{"run", "--result", filepath.Join(dir, "no", "such"), "--", "make"}); code != exitUsage || len(f.jobs) != before {
		t.Errorf("code %d, %d jobs were submitted: %s", code, len(f.jobs)-before, errs.String())
	}
}

// Words from elsewhere lead to commands there are, and hide none.
func TestSynonymsNameCommands(t *testing.T) {
	root := (&app{}).root()
	for parent, list := range synonyms {
		for i := 0; i < len(list); i += 2 {
			words := strings.Fields(parent + " " + list[i+1])[1:]
			found, rest, err := root.Find(words)
			if err != nil || found.HasAvailableSubCommands() && list[i+1] != "worker" || len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
				t.Errorf("%s %s: there is no %s", parent, list[i], list[i+1])
			}
			above, _, err := root.Find(strings.Fields(parent)[1:])
			if err != nil || slices.Contains(namesBelow(above), list[i]) {
				t.Errorf("%s %s is a command, %v", parent, list[i], err)
			}
		}
	}
}

// The version is shown by a command and by a flag, in the same words.
func TestVersionIsShownInThreeWays(t *testing.T) {
	want := versionLine() + "\n"
	for _, args := range [][]string{{"version"}, {"--version"}, {"-v"}} {
		var out, errs strings.Builder
		a := &app{stdout: &out, stderr: &errs}
		if code := a.run(t.Context(), args); code != exitOK || out.String() != want {
			t.Errorf("%v: code %d, %q%s", args, code, out.String(), errs.String())
		}
	}
	var out strings.Builder
	a := &app{stdout: &out, stderr: &out}
	var shown map[string]string
	if code := a.run(t.Context(), []string{"version", "-o", "json"}); code != exitOK || json.Unmarshal([]byte(out.String()), &shown) != nil || shown["version"] != version || shown["api"] != apiVersion {
		t.Errorf("code %d: %s", code, out.String())
	}
}

// A bug has one form too: what is to be reported comes with it.
func TestABugInJSON(t *testing.T) {
	var errs strings.Builder
	a := &app{stdout: panics{}, stderr: &errs}
	var p problem
	if code := a.run(t.Context(), []string{"version", "-o", "json"}); code != exitBug || json.Unmarshal([]byte(errs.String()), &p) != nil || p.Kind != "internal" || len(p.Errors) != 1 {
		t.Errorf("code %d: %s", code, errs.String())
	}
}
