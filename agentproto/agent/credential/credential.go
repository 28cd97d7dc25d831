// Package credential keeps what makes an agent the same worker after a restart:
// its key, and the worker id a server gave to that key. It lives in the agent's
// state folder, which only one agent at a time may use.
package credential

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	lockFile     = "lock"
	keyFile      = "key"           // the Ed25519 seed, 32 bytes
	identityFile = "identity.json" // see Identity

	folderMode = 0o700
	fileMode   = 0o600
)

// ErrInUse is a state folder that another agent uses.
var ErrInUse = errors.New("another agent uses this state folder")

// Identity is who an agent is to which server.
type Identity struct {
	WorkerID string `json:"worker_id"`
	Pin      string `json:"pin"` // of the server's authority, hexadecimal
}

// State is an open state folder. It is for one goroutine.
type State struct {
	root *os.Root
	lock *os.File
	key  ed25519.PrivateKey
	id   Identity
}

// Open locks the folder, which it makes if there is none, and reads it. A new
// folder gets a new key. The error is ErrInUse if another agent has it.
func Open(folder string) (*State, error) {
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return nil, fmt.Errorf("cannot make the state folder: %w", err)
	}
	if err := os.Chmod(folder, folderMode); err != nil {
		return nil, fmt.Errorf("cannot close the state folder to others: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state folder: %w", err)
	}
	s := &State{root: root}
	if err := s.load(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *State) load() error {
	if err := s.takeLock(); err != nil {
		return err
	}
	if err := s.loadKey(); err != nil {
		return err
	}
	data, err := s.root.ReadFile(identityFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s.id)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s; remove it to register anew: %w", s.path(identityFile), err)
	}
	return nil
}

// takeLock holds the lock for as long as this program lives; the kernel lets go
// of it however the program ends.
func (s *State) takeLock() error {
	lock, err := s.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("cannot open the lock of the state folder: %w", err)
	}
	s.lock = lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := s.root.ReadFile(lockFile)
		return fmt.Errorf("%w: %s (process %s)", ErrInUse, s.root.Name(), strings.TrimSpace(string(holder)))
	}
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintf(lock, "%d\n", os.Getpid())
	return err
}

func (s *State) loadKey() error {
	seed, err := s.root.ReadFile(keyFile)
	if errors.Is(err, os.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		err = s.write(keyFile, seed)
	}
	if err != nil {
		return fmt.Errorf("cannot read the agent's key: %w", err)
	}
	if len(seed) != ed25519.SeedSize {
		return fmt.Errorf("%s is damaged: it has %d bytes instead of %d; remove the state folder to register anew",
			s.path(keyFile), len(seed), ed25519.SeedSize)
	}
	s.key = ed25519.NewKeyFromSeed(seed)
	return nil
}

// Key is the agent's key.
func (s *State) Key() ed25519.PrivateKey { return s.key }

// Identity is what was kept last; the zero value before that.
func (s *State) Identity() Identity { return s.id }

// Keep stores an identity durably.
func (s *State) Keep(id Identity) error {
	if id == s.id {
		return nil
	}
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	if err := s.write(identityFile, append(data, '\n')); err != nil {
		return fmt.Errorf("cannot keep the worker id: %w", err)
	}
	s.id = id
	return nil
}

// write replaces a file so that a crash leaves the old one or the new one.
func (s *State) write(name string, data []byte) error {
	temporary := name + ".new"
	f, err := s.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = s.root.Rename(temporary, name)
	}
	if err != nil {
		return err
	}
	return s.syncFolder()
}

func (s *State) syncFolder() error {
	folder, err := s.root.Open(".")
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func (s *State) path(name string) string { return s.root.Name() + "/" + name }

// Close lets another agent use the folder.
func (s *State) Close() {
	if s.lock != nil {
		s.lock.Close()
	}
	s.root.Close()
}
