package workspace_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/workspace"
)

// mount mounts something until the test ends, or skips the test.
func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("nothing can be mounted, which needs root: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) }) // unless that has happened
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsMountedInAWorkspaceIsNotRemoved(t *testing.T) {
	for _, row := range []struct {
		name  string
		mount func(t *testing.T, outside, path string)
	}{
		{"a folder", func(t *testing.T, outside, path string) {
			write(t, path+"/a/b/file")
			mount(t, outside, path+"/a/b", "", unix.MS_BIND, "")
		}},
		{"a folder upon a folder", func(t *testing.T, outside, path string) {
			write(t, path+"/a/file")
			mount(t, outside, path+"/a", "", unix.MS_BIND, "")
			mount(t, outside, path+"/a", "", unix.MS_BIND, "")
		}},
		{"upon the workspace itself", func(t *testing.T, outside, path string) { mount(t, outside, path, "", unix.MS_BIND, "") }},
		{"a file", func(t *testing.T, outside, path string) {
			write(t, path+"/file")
			mount(t, outside+"/keep", path+"/file", "", unix.MS_BIND, "")
		}},
		{"a disk of its own", func(t *testing.T, outside, path string) {
			write(t, path+"/disk/file")
			mount(t, "tmpfs", path+"/disk", "tmpfs", 0, "")
			write(t, path+"/disk/more")
			mount(t, outside, path+"/disk", "", unix.MS_BIND, "")
		}},
		{"a shared folder with its own mounts", func(t *testing.T, outside, path string) {
			mount(t, outside, outside, "", unix.MS_BIND, "")
			mount(t, "", outside, "", unix.MS_SHARED, "")
			write(t, outside+"/inner/file")
			mount(t, "tmpfs", outside+"/inner", "tmpfs", 0, "")
			write(t, outside+"/inner/mounted")
			write(t, path+"/a/file")
			mount(t, outside, path+"/a", "", unix.MS_BIND|unix.MS_REC, "")
			t.Cleanup(func() {
				if _, err := os.Stat(outside + "/inner/mounted"); err != nil {
					t.Error("what is mounted in the shared folder was unmounted there too")
				}
			})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			outside := t.TempDir()
			write(t, outside+"/keep")
			p := running(t, t.TempDir())
			folder := take(t, p)
			row.mount(t, outside, folder.Path)
			p.Release(t.Context(), folder)
			gone(t, folder.Path)
			if _, err := os.Stat(outside + "/keep"); err != nil {
				t.Error("what was mounted there was removed")
			}
		})
	}
}

func TestAVeryDeepTreeIsRemovedWithFewDescriptors(t *testing.T) {
	const levels, fewer = 3000, 256
	p, err := workspace.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder := take(t, p)
	// Names that are used for what is moved up while a tree is removed.
	write(t, folder.Path+"/.hodei-moved-0")
	write(t, folder.Path+"/.hodei-moved-1/file")
	if err := os.Symlink("/", folder.Path+"/.hodei-moved-2"); err != nil {
		t.Fatal(err)
	}
	deepen(t, folder.Path, levels)
	limitDescriptors(t, fewer)
	p.Release(t.Context(), folder)
	run(t, p)
	gone(t, folder.Path)
}

// deepen makes folders in each other, with a file and a folder in each.
func deepen(t *testing.T, path string, levels int) {
	t.Helper()
	dir, err := unix.Open(path, unix.O_DIRECTORY, 0)
	for range levels {
		if err != nil {
			t.Fatal(err)
		}
		next := -1
		err = errors.Join(unix.Mkdirat(dir, "d", 0o700), unix.Mkdirat(dir, "e", 0o700), unix.Mknodat(dir, "f", unix.S_IFREG|0o600, 0))
		if err == nil {
			next, err = unix.Openat(dir, "d", unix.O_DIRECTORY, 0)
		}
		unix.Close(dir)
		dir = next
	}
	unix.Close(dir)
}

// limitDescriptors is for the whole of this program until the test ends.
func limitDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &was) })
}

func TestWhatCannotBeRemovedIsNamedOnce(t *testing.T) {
	pool := t.TempDir()
	p, err := workspace.Open(pool)
	if err != nil {
		t.Fatal(err)
	}
	reports := make(chan error, 10)
	p.Report = func(err error) { reports <- err }
	folder := take(t, p)
	write(t, folder.Path+"/a/stays")
	write(t, folder.Path+"/a/goes")
	fix(t, folder.Path+"/a/stays", true)
	run(t, p)
	p.Release(t.Context(), folder)
	said := <-reports
	if !strings.Contains(said.Error(), filepath.Base(folder.Path)+"/a/stays") {
		t.Errorf("said %q", said)
	}
	if _, err := os.Stat(folder.Path + "/a/goes"); err == nil {
		t.Error("the rest was not removed")
	}
	other := take(t, p)
	write(t, other.Path+"/file")
	p.Release(t.Context(), other)
	gone(t, other.Path) // later ones are not held up
	if len(reports) != 0 {
		t.Errorf("said again: %v", <-reports)
	}
	fix(t, folder.Path+"/a/stays", false)
	running(t, pool)
	gone(t, folder.Path) // the next agent has tried again
}

func TestWhatCouldNotBeRemovedIsRemovedOnceItCan(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p, err := workspace.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		folder := take(t, p)
		write(t, folder.Path+"/stays")
		fix(t, folder.Path+"/stays", true)
		run(t, p)
		p.Release(t.Context(), folder)
		time.Sleep(time.Hour)
		if _, err := os.Stat(folder.Path + "/stays"); err != nil {
			t.Error("it could be removed", err)
		}
		fix(t, folder.Path+"/stays", false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, err := os.Stat(folder.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it is there still: %v", err)
		}
	})
}

// fix makes a file immutable, even for root, or not.
func fix(t *testing.T, path string, immutable bool) {
	t.Helper()
	const flag = 0x10 // FS_IMMUTABLE_FL
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	value := 0
	if immutable {
		value = flag
		t.Cleanup(func() {
			if _, err := os.Stat(path); err == nil {
				fix(t, path, false)
			}
		})
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, value); err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no file can be made immutable, which needs root: %v", err)
		}
		t.Fatal(err)
	}
}

func TestFoldersAreMadeAgainOnceThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	mount(t, "tmpfs", dir, "tmpfs", 0, "nr_inodes=3") // its root and two more
	synctest.Test(t, func(t *testing.T) {
		p, err := workspace.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		var said []error
		p.Report = func(err error) { said = append(said, err) }
		run(t, p)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := entries(t, dir); n != 2 || len(said) != 1 || !errors.Is(said[0], unix.ENOSPC) {
			t.Fatalf("%d folders, %v", n, said)
		}
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "nr_inodes=1000"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := entries(t, dir); n < 8 {
			t.Errorf("%d folders lie ready", n)
		}
	})
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}
