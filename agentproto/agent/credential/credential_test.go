package credential_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/agent/credential"
)

func open(t *testing.T, folder string) *credential.State {
	t.Helper()
	s, err := credential.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestKeyAndIdentityOutliveTheAgent(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new", "state")
	s := open(t, folder)
	key := s.Key()
	identity := credential.Identity{WorkerID: "w1", Pin: "ab"}
	if s.Identity() != (credential.Identity{}) {
		t.Errorf("a new agent is %v", s.Identity())
	}
	if err := s.Keep(identity); err != nil {
		t.Fatal(err)
	}
	s.Close()
	again := open(t, folder)
	if !bytes.Equal(again.Key(), key) || again.Identity() != identity {
		t.Errorf("it is another now: %v", again.Identity())
	}
}

func TestOnlyTheOwnerCanRead(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, folder)
	if err := s.Keep(credential.Identity{WorkerID: "w1"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "key": 0o600, "identity.json": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, mode %v, want %v", name, err, info.Mode().Perm(), want)
		}
	}
}

func TestOneFolderIsForOneAgent(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	if _, err := credential.Open(folder); !errors.Is(err, credential.ErrInUse) {
		t.Errorf("a second one got %v", err)
	}
	s.Close()
	open(t, folder)
}

func TestDamageIsNamed(t *testing.T) {
	for _, row := range []struct{ name, file, content, want string }{
		{"a key that was cut", "key", "short", "key is damaged: it has 5 bytes instead of 36; remove the state folder"},
		{"an identity that isn't JSON", "identity.json", "{", "register anew with a new worker token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, row.file), []byte(row.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := credential.Open(folder); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

// Whichever bit of its files a disk flips, an agent is who it was or says what is
// damaged and what to do.
func TestAFlippedBitIsFoundOrHarmless(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	identity := credential.Identity{WorkerID: "k7m2q9xa", Pin: strings.Repeat("ab", 32)}
	if err := s.Keep(identity); err != nil {
		t.Fatal(err)
	}
	key := s.Key()
	s.Close()
	for _, name := range []string{"key", "identity.json", "lock"} {
		path := filepath.Join(folder, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for bit := range 8 * len(whole) {
			data := bytes.Clone(whole)
			data[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := credential.Open(folder)
			switch {
			case err != nil && (!strings.Contains(err.Error(), path+" is damaged") || !strings.Contains(err.Error(), "register anew")):
				t.Errorf("%s, bit %d: %v", name, bit, err)
			case err != nil:
				found++
				continue
			case !bytes.Equal(s.Key(), key) || s.Identity() != identity:
				t.Errorf("%s, bit %d: it is another agent: %+v", name, bit, s.Identity())
			}
			s.Close()
		}
		t.Logf("%s: %d of %d found", name, found, 8*len(whole))
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The files of an agent of before there were checksums are taken; its key gets one.
func TestFilesWithoutChecksums(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"key": strings.Repeat("k", 32), "identity.json": `{"worker_id":"w1","pin":"ab"}`} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, folder)
	if s.Identity() != (credential.Identity{WorkerID: "w1", Pin: "ab"}) || !bytes.Equal(s.Key().Seed(), []byte(strings.Repeat("k", 32))) {
		t.Errorf("it is another: %+v", s.Identity())
	}
	if data, err := os.ReadFile(filepath.Join(folder, "key")); err != nil || len(data) != 36 {
		t.Errorf("the key has %d bytes, %v", len(data), err)
	}
}
