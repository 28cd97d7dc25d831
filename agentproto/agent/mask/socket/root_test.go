package socket

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
)

// runRoot opens one and runs it until stop is called, which waits for its end.
func runRoot(t *testing.T, state string) (r *Root, stop func()) {
	t.Helper()
	r, err := OpenRoot(state)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	return r, func() {
		cancel()
		<-ended
	}
}

// one is a socket for an attempt.
func one(t *testing.T, r *Root, set *mask.Set) (path string, stop func()) {
	t.Helper()
	s, err := r.Listen(set.Add)
	if err != nil {
		t.Fatal(err)
	}
	return s.Path(), run(s)
}

func gone(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func eventuallyGone(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !gone(t, path) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is left behind", path)
		}
	}
}

// Wherever the agent's state lies, any program of its user can reach the sockets,
// nobody else may, and nothing of them stays.
func TestSocketsHaveFoldersOfTheirOwn(t *testing.T) {
	t.Setenv("TMPDIR", "/tmp")
	short, err := os.MkdirTemp("/tmp", "hodei-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	set, _ := mask.New(nil)
	for _, state := range []string{short, deep} {
		left := filepath.Join(state, "run", "left")
		if err := os.MkdirAll(left, folderMode); err != nil {
			t.Fatal(err)
		}
		root, stopRoot := runRoot(t, state)
		if state == short && !gone(t, left) {
			t.Error("what an earlier agent left is there still")
		}
		first, stopFirst := one(t, root, set)
		second, stopSecond := one(t, root, set)
		if filepath.Dir(first) == filepath.Dir(second) {
			t.Errorf("two have one folder: %s", first)
		}
		for _, path := range []string{first, second} {
			for _, folder := range []string{filepath.Dir(path), root.path} {
				if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != folderMode {
					t.Errorf("%s: %v", folder, err)
				}
			}
			conn, err := net.Dial("unix", path) // as programs do that know nothing of reach
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), "a job's"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		stopFirst()
		eventuallyGone(t, filepath.Dir(first))
		stopSecond()
		stopRoot()
		if !gone(t, root.path) {
			t.Errorf("%s is left behind", root.path)
		}
	}
}

// A socket that its job did nothing with is given out again; one that was touched
// or used is not.
func TestASocketIsGivenOutAgain(t *testing.T) {
	root := newRoot(t.TempDir())
	set, _ := mask.New(nil)
	for what, touch := range map[string]func(path string){
		"nothing":   func(string) {},
		"a secret":  func(path string) { _, _ = Mask(t.Context(), path, []byte("hunter2")) },
		"a mode":    func(path string) { _ = os.Chmod(path, 0o700) },
		"a file":    func(path string) { _ = os.WriteFile(path+"2", nil, 0o600) },
		"no socket": func(path string) { _ = os.Remove(path) },
	} {
		p, err := root.make()
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * settled) // so that the kernel's clock shows what follows
		root.again <- p
		path, stop := one(t, root, set)
		if path != p.path {
			t.Fatalf("%s: another socket is given out", what)
		}
		touch(path)
		stop()
		if kept := len(root.again) == 1; kept != (what == "nothing") {
			t.Errorf("after %s it is kept: %t", what, kept)
		}
		again, stop := one(t, root, set)
		stop()
		if (again == path) != (what == "nothing") {
			t.Errorf("after %s the next has %s, it was %s", what, again, path)
		}
		for len(root.again) > 0 {
			(<-root.again).remove()
		}
	}
	root.close(nil)
}

// One that is given out too young to tell whether it was touched is not given out
// again.
func TestAYoungSocketIsRemoved(t *testing.T) {
	root := newRoot(t.TempDir())
	set, _ := mask.New(nil)
	s, err := root.Listen(set.Add)
	if err != nil {
		t.Fatal(err)
	}
	s.place.fresh = true // however slow this test is
	run(s)()
	kept := len(root.again) > 0
	root.close(nil)
	if kept || !gone(t, s.Path()) {
		t.Errorf("%s is there still", s.Path())
	}
}

// Somebody who connects at the very end does so to no later attempt.
func TestWhoWaitsAtTheEndIsSentAway(t *testing.T) {
	root := newRoot(t.TempDir())
	p, err := root.make()
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("unix", p.path); err != nil {
		t.Fatal(err)
	} else {
		defer conn.Close()
	}
	root.takeBack(p, true)
	if len(root.again) > 0 {
		t.Error("the socket is given out again")
	}
	root.close(nil)
}

// Where no path is short enough, sockets are where they are safe, and hodei-agent
// mask reaches them.
func TestSocketsInDeepFolders(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	t.Setenv("TMPDIR", deep)
	if err := os.Mkdir(deep, folderMode); err != nil {
		t.Fatal(err)
	}
	root, stopRoot := runRoot(t, deep)
	defer stopRoot()
	set, _ := mask.New(nil)
	path, stop := one(t, root, set)
	defer stop()
	if !strings.HasPrefix(path, deep+"/run/") {
		t.Errorf("it is at %s", path)
	}
	if _, err := Mask(t.Context(), path, []byte("hunter2")); err != nil {
		t.Error(err)
	}
}

// What removes old temporary files may remove the folder of an agent without jobs,
// with the sockets that lie ready.
func TestAFolderThatWasRemoved(t *testing.T) {
	root := newRoot(filepath.Join(t.TempDir(), "run"))
	set, _ := mask.New(nil)
	for range 2 {
		p, err := root.make()
		if err != nil {
			t.Fatal(err)
		}
		root.ready <- p
		if err := os.RemoveAll(root.path); err != nil {
			t.Fatal(err)
		}
		path, stop := one(t, root, set)
		if _, err := Mask(t.Context(), path, []byte("hunter2")); err != nil {
			t.Error(err)
		}
		stop()
	}
	root.close(nil)
	if err := os.WriteFile(root.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Listen(nil); err == nil {
		t.Error("a file in the way: no error")
	}
}

// Connections without end are slowed down, whether or not they ask for anything.
func TestAFloodOfConnectionsIsSlowedDown(t *testing.T) {
	if testing.Short() {
		t.Skip("connects many times")
	}
	set, _ := mask.New(nil)
	path := serve(t, t.TempDir(), set)
	connect := func() {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte{255, 255, 255, 255})
		conn.Read(make([]byte, 100))
		conn.Close()
	}
	for range maxRequests {
		connect()
	}
	begin := time.Now()
	connect()
	connect()
	if took := time.Since(begin); took < acceptPause { // it is a lower bound, which no load changes
		t.Errorf("two more took %s", took)
	}
	if _, err := Mask(t.Context(), path, []byte("hunter2")); err != nil {
		t.Errorf("one that asks: %v", err)
	}
}
