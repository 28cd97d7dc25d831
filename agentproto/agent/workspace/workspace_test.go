package workspace_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/workspace"
)

const patience = 20 * time.Second

// running is a pool that makes and removes until the test ends.
func running(t testing.TB, folder string) *workspace.Pool {
	t.Helper()
	p, err := workspace.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p)
	return p
}

// run runs a pool until the test ends.
func run(t testing.TB, p *workspace.Pool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func take(t *testing.T, p *workspace.Pool) workspace.Folder {
	t.Helper()
	folder, err := p.Take()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

func gone(t *testing.T, path string) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for {
		if _, err := os.Lstat(path); os.IsNotExist(err) {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s is still there", path)
		}
	}
}

func TestEachGetsAnEmptyFolderOfItsOwn(t *testing.T) {
	p := running(t, t.TempDir())
	seen := map[string]bool{}
	for range 50 { // more than lie ready
		path := take(t, p).Path
		entries, err := os.ReadDir(path)
		info, _ := os.Stat(path)
		if err != nil || len(entries) != 0 || info.Mode().Perm() != 0o700 || seen[path] {
			t.Fatalf("%s: %v, %d entries, mode %v, seen: %t", path, err, len(entries), info.Mode(), seen[path])
		}
		seen[path] = true
	}
}

func TestWhatAJobLeavesIsRemoved(t *testing.T) {
	outside := t.TempDir()
	keep := filepath.Join(outside, "keep")
	if err := os.WriteFile(keep, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := running(t, t.TempDir())
	for _, row := range []struct {
		name string
		make func(path string) error
	}{
		{"files in folders", func(path string) error {
			os.MkdirAll(path+"/a/b/c", 0o700)
			return os.WriteFile(path+"/a/b/c/file", []byte("x"), 0o400)
		}},
		{"a folder nobody may enter", func(path string) error {
			os.MkdirAll(path+"/a/b", 0o700)
			os.WriteFile(path+"/a/b/file", nil, 0o600)
			return os.Chmod(path+"/a", 0)
		}},
		{"a link to a folder outside", func(path string) error { return os.Symlink(outside, path+"/link") }},
	} {
		folder := take(t, p)
		if err := row.make(folder.Path); err != nil {
			t.Fatal(err)
		}
		p.Release(t.Context(), folder)
		gone(t, folder.Path)
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error("what the link led to was removed")
	}
}

func TestWhatAnEarlierAgentLeftIsRemoved(t *testing.T) {
	folder := t.TempDir()
	first, err := workspace.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	old := take(t, first).Path
	if err := os.WriteFile(old+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := running(t, folder)
	if folder := take(t, p); folder.Path == old {
		t.Error("a used folder was given out")
	}
	gone(t, old)
}

func TestAFullQueueDoesNotHoldUpAnAgentThatStops(t *testing.T) {
	p, err := workspace.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		p.Release(ctx, workspace.Folder{})
	}
}

func TestOnlyAFolderThatWasNotTouchedIsGivenOutAgain(t *testing.T) {
	p := running(t, t.TempDir())
	for _, row := range []struct {
		name  string
		touch func(path string) error
		again bool
	}{
		{"one that nobody touched", func(string) error { return nil }, true},
		{"one where a file was made and removed", func(path string) error {
			return errors.Join(os.WriteFile(path+"/x", nil, 0o600), os.Remove(path+"/x"))
		}, false},
		{"one whose mode was changed and set back", func(path string) error {
			return errors.Join(os.Chmod(path, 0o777), os.Chmod(path, 0o700))
		}, false},
		{"one whose times were set", func(path string) error { return os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)) }, false},
	} {
		folder := aged(t, p)
		if err := row.touch(folder.Path); err != nil {
			t.Fatal(err)
		}
		p.Release(t.Context(), folder)
		if next := take(t, p); (next.Path == folder.Path) != row.again {
			t.Errorf("%s is given out again: %t", row.name, !row.again)
		}
	}
}

// aged is a folder that was made long enough before it was given out.
func aged(t *testing.T, p *workspace.Pool) workspace.Folder {
	t.Helper()
	folder := take(t, p)
	tick := time.NewTicker(100 * time.Millisecond) // in which those that were made ahead come of age
	defer tick.Stop()
	for {
		p.Release(t.Context(), folder)
		<-tick.C
		again := take(t, p)
		if again.Path == folder.Path {
			return again
		}
		folder = again
	}
}

func BenchmarkTakeAndRelease(b *testing.B) {
	p := running(b, b.TempDir())
	for b.Loop() {
		folder, err := p.Take()
		if err != nil {
			b.Fatal(err)
		}
		p.Release(b.Context(), folder)
	}
}
