package process

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hodei-jobs/hodei/providers/process/bundle"
)

// packed is an agent as releases carry it.
func packed(t *testing.T, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := bundle.Pack(&out, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestWhereTheAgentComesFrom has all sources there are, takes them away one by one
// and looks which is next. An agent here is a file that says where it is from.
func TestWhereTheAgentComesFrom(t *testing.T) {
	system := "hodei-agent-" + runtime.GOOS + "-" + runtime.GOARCH
	put := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	agentDir, beside, root, tools := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	put(filepath.Join(agentDir, system), "agent-dir, for the system")
	put(filepath.Join(agentDir, "hodei-agent"), "agent-dir")
	put(filepath.Join(beside, system), "beside, for the system")
	put(filepath.Join(beside, "hodei-agent"), "beside")
	put(filepath.Join(root, "go.mod"), module)
	put(filepath.Join(tools, "go"), `#!/bin/sh
while [ "$1" != -o ]; do shift; done
printf built > "$2"
`)
	t.Setenv("PATH", tools)
	t.Chdir(root)

	carried := fstest.MapFS{bundle.Path(runtime.GOOS, runtime.GOARCH): {Data: packed(t, "carried")}}
	b := Binary{AgentDir: agentDir, beside: beside, carried: carried, BinDir: t.TempDir()}
	for _, step := range []struct {
		want     string
		progress string
		away     func() // takes this source away
	}{
		{"agent-dir, for the system", "", func() { _ = os.Remove(filepath.Join(agentDir, system)) }},
		{"agent-dir", "", func() { _ = os.Chmod(filepath.Join(agentDir, "hodei-agent"), 0o600) }},
		{"error: cannot find hodei-agent: there is no " + system + " in " + agentDir, "", func() { b.AgentDir = "" }},
		{"beside, for the system", "", func() { _ = os.Remove(filepath.Join(beside, system)) }},
		{"beside", "", func() { _ = os.Remove(filepath.Join(beside, "hodei-agent")) }},
		{"carried", "", func() { b.carried = fstest.MapFS{bundle.Path(runtime.GOOS, "other"): {Data: packed(t, "other")}} }},
		{"built", "building hodei-agent from source …\n", func() { _ = os.Remove(filepath.Join(root, "go.mod")) }},
		{"error: cannot find hodei-agent: there is no " + system + " in " + beside, "", func() {}},
	} {
		var progress bytes.Buffer
		b.Progress = &progress
		got := found(t, b)
		if !strings.HasPrefix(got, step.want) || progress.String() != step.progress {
			t.Fatalf("found %q and said %q, want %q and %q", got, progress.String(), step.want, step.progress)
		}
		step.away()
	}
}

// found is the content of the agent that is found, or why none is.
func found(t *testing.T, b Binary) string {
	t.Helper()
	path, err := b.Find(t.Context())
	if err != nil {
		return "error: " + err.Error()
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := digestOf(file(path)); err != nil || path != filepath.Join(b.BinDir, digest, "hodei-agent") {
		t.Errorf("it is kept as %s, its digest is %s (%v)", path, digest, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	return string(content)
}

// TestAKeptAgentThatIsDamagedIsReplaced by the one it was copied from.
func TestAKeptAgentThatIsDamagedIsReplaced(t *testing.T) {
	b := Binary{beside: t.TempDir(), BinDir: t.TempDir(), carried: fstest.MapFS{bundle.Path(runtime.GOOS, runtime.GOARCH): {Data: packed(t, "carried")}}}
	for range 2 {
		path, err := b.Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := found(t, b); got != "carried" {
			t.Errorf("found %q", got)
		}
		if err := os.WriteFile(path, []byte("damaged"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// TestADamagedCarriedAgentIsNotStarted whichever bit was flipped.
func TestADamagedCarriedAgentIsNotStarted(t *testing.T) {
	whole := packed(t, strings.Repeat("an agent ", 20))
	for bit := range 8 * len(whole) {
		data := bytes.Clone(whole)
		data[bit/8] ^= 1 << (bit % 8)
		b := Binary{beside: t.TempDir(), BinDir: t.TempDir(), carried: fstest.MapFS{bundle.Path(runtime.GOOS, runtime.GOARCH): {Data: data}}}
		if path, err := b.Find(t.Context()); err == nil {
			if content, err := os.ReadFile(path); err != nil || string(content) != strings.Repeat("an agent ", 20) {
				t.Errorf("bit %d: found %q (%v)", bit, content, err)
			}
		}
	}
}

// TestNothingIsCarriedWithoutTheTag keeps the ordinary build as it is.
func TestNothingIsCarriedWithoutTheTag(t *testing.T) {
	entries, err := fs.ReadDir(bundle.Agents(), ".")
	if err != nil || len(entries) > 0 {
		t.Error(fmt.Sprint(entries), err)
	}
}
