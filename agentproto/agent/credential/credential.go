// Package credential keeps what makes an agent the same worker after a restart:
// its key, and the worker id a server gave to that key. It lives in the agent's
// state folder, which only one agent at a time may use.
package credential

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	lockFile     = "lock"
	keyFile      = "key"           // the Ed25519 seed, 32 bytes, and its CRC32C, 4
	identityFile = "identity.json" // see kept

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

// kept is an identity as it is in its file, with its checksum.
type kept struct {
	Identity
	Sum string `json:"crc32c,omitempty"` // none in a file of an older agent
}

func (id Identity) sum() string {
	return hex.EncodeToString(checksum([]byte(id.WorkerID + "\n" + id.Pin)))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum finds damage of a disk; it keeps nobody from changing a file.
func checksum(data []byte) []byte {
	return binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, castagnoli))
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
	return s.loadIdentity()
}

func (s *State) loadIdentity() error {
	data, err := s.root.ReadFile(identityFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err == nil && k.Sum != "" && k.Sum != k.Identity.sum() {
		err = errors.New("its checksum is wrong")
	}
	if err != nil {
		return fmt.Errorf("%s is damaged or can't be read; remove the state folder and register anew with a new worker token: %w", s.path(identityFile), err)
	}
	s.id = k.Identity
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
	data, err := s.root.ReadFile(keyFile)
	if errors.Is(err, os.ErrNotExist) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		data = slices.Concat(seed, checksum(seed))
		err = s.write(keyFile, data)
	}
	if err != nil {
		return fmt.Errorf("cannot read the agent's key: %w", err)
	}
	if len(data) == ed25519.SeedSize { // of an older agent
		data = slices.Concat(data, checksum(data))
		if err := s.write(keyFile, data); err != nil {
			return fmt.Errorf("cannot keep the agent's key: %w", err)
		}
	}
	why := ""
	switch size := ed25519.SeedSize + crc32.Size; {
	case len(data) != size:
		why = fmt.Sprintf("it has %d bytes instead of %d", len(data), size)
	case !bytes.Equal(checksum(data[:ed25519.SeedSize]), data[ed25519.SeedSize:]):
		why = "its checksum is wrong"
	}
	if why != "" {
		return fmt.Errorf("%s is damaged: %s; remove the state folder and register anew with a new worker token", s.path(keyFile), why)
	}
	s.key = ed25519.NewKeyFromSeed(data[:ed25519.SeedSize])
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
	data, err := json.Marshal(kept{id, id.sum()})
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
