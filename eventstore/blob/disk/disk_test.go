package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore/blob"
	"github.com/hodei-jobs/hodei/eventstore/blob/blobtest"
	"github.com/hodei-jobs/hodei/eventstore/blob/disk"
)

func open(t *testing.T, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestTheContractIsKept(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

func TestWhatACrashLeftIsRemovedAndObjectsStay(t *testing.T) {
	dir := t.TempDir()
	blobtest.Put(t, open(t, dir), "a/b", []byte("kept"))
	half := filepath.Join(dir, ".tmp", "77")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	if _, err := os.Stat(half); err == nil {
		t.Error("what a crash left is still there")
	}
	if got := blobtest.Get(t, s, "a/b"); string(got) != "kept" {
		t.Errorf("read %q", got)
	}
}

func TestALinkLeadsNowhere(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	s := open(t, dir)
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "way")); err != nil {
		t.Fatal(err)
	}
	if data, err := s.Get(t.Context(), "way/secret", 0, 1); err == nil {
		t.Errorf("read %q through a link", data)
	}
}

func TestAnObjectIsItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	blobtest.Put(t, open(t, dir), "a/b", []byte("x"))
	for name, want := range map[string]os.FileMode{"a": 0o700, "a/b": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestADiskThatFailsIsUnavailable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := os.RemoveAll(filepath.Join(dir, ".tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Put(t.Context(), "a", nil, blob.Options{})
	if err == nil || errors.Is(err, blob.ErrExists) {
		t.Errorf("got %v", err)
	}
}
