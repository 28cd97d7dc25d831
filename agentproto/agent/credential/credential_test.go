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
		{"a key that was cut", "key", "short", "key is damaged: it has 5 bytes instead of 32"},
		{"an identity that isn't JSON", "identity.json", "{", "remove it to register anew"},
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
