package keyring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/unix"
)

// The file: magic, 24-byte nonce, then the content as JSON sealed with
// XChaCha20-Poly1305 under the wrapping key, the magic as additional data. The
// whole content is sealed at once, so that names can't be seen and entries can't
// be swapped or brought back one by one.
const (
	magic     = "hodei keyring 1\n"
	headBytes = len(magic) + chacha20poly1305.NonceSizeX
	fileMode  = 0o600
	maxFile   = 64 << 20 // bytes

	temporary  = ".tmp"  // of a file that is being written
	nextSuffix = ".next" // of the wrapping key that a rotation is about to use
	lockSuffix = ".lock" // of the file whose lock keeps other processes out
)

// File is a keyring in one file. Reads take what is in memory and never wait for
// a write.
type File struct {
	path, keyPath string
	made          bool

	current atomic.Pointer[content] // never changed, only replaced; nil when closed

	mu   sync.Mutex // one change at a time, held over its write: they are rare and must be in order
	wrap DataKey    // guarded by mu
	lock *os.File   // guarded by mu
}

// content is what the file holds.
type content struct {
	Signing map[string][]signingKey `json:"signing,omitempty"` // by purpose, newest last
	Data    map[string][]byte       `json:"data,omitempty"`
	Blobs   map[string][]byte       `json:"blobs,omitempty"`
}

type signingKey struct {
	ID   string `json:"id"`
	Seed []byte `json:"seed"`
}

// OpenFile opens the keyring at path, sealed with the key in the file keyPath,
// for this process alone. keyPath must lie outside of what is backed up together
// with path. What is not there is made, readable by its owner only: both, or the
// keyring for a key that was provided. A keyring whose key is missing is a
// *[DamageError], and so is one that was sealed with another; one that another
// process has open is a *[LockedError].
func OpenFile(path, keyPath string) (*File, error) {
	f := &File{path: path, keyPath: keyPath}
	if err := f.acquire(); err != nil {
		return nil, err
	}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// acquire locks the keyring against other processes: each writes the whole of
// what it has in memory.
func (f *File) acquire() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("cannot make the keyring's folder: %w", err)
	}
	lock, err := os.OpenFile(f.path+lockSuffix, os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return fmt.Errorf("cannot lock the keyring: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			text, _ := io.ReadAll(lock)
			pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			err = &LockedError{f.path, pid}
		}
		return errors.Join(err, lock.Close())
	}
	f.lock = lock
	_, _ = lock.WriteAt(fmt.Appendf(nil, "%-10d\n", os.Getpid()), 0) // only to tell who it is
	return nil
}

func (f *File) open() error {
	for _, path := range []string{f.path, f.keyPath, f.keyPath + nextSuffix} {
		_ = os.Remove(path + temporary) // a crash may have left it
	}
	_, ringErr := os.Stat(f.path)
	_, keyErr := os.Stat(f.keyPath)
	noRing, noKey := errors.Is(ringErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	switch {
	case noRing && noKey:
		return f.create()
	case noKey:
		return &DamageError{f.path, "its wrapping key " + f.keyPath + " is missing"}
	}
	if err := f.loadKey(f.keyPath); err != nil {
		return err
	}
	if noRing { // a crash after the key was made leaves this, too
		f.made = true
		return f.save(&content{})
	}
	if err := f.load(); err != nil {
		return f.finishRotation(err)
	}
	_ = os.Remove(f.keyPath + nextSuffix) // of a rotation that was cut off before it sealed anything
	return nil
}

func (f *File) create() error {
	f.made = true
	if _, err := rand.Read(f.wrap[:]); err != nil {
		return err
	}
	if err := replace(f.keyPath, keyText(f.wrap)); err != nil {
		return fmt.Errorf("cannot make the wrapping key: %w", err)
	}
	return f.save(&content{})
}

// finishRotation opens the keyring with the key of a rotation that a crash cut
// off after the keyring was sealed anew, and puts that key in place.
func (f *File) finishRotation(because error) error {
	if f.loadKey(f.keyPath+nextSuffix) != nil || f.load() != nil {
		return because
	}
	if err := os.Rename(f.keyPath+nextSuffix, f.keyPath); err != nil {
		return fmt.Errorf("cannot put the new wrapping key in place: %w", err)
	}
	return syncDir(f.keyPath)
}

func keyText(key DataKey) []byte { return []byte(hex.EncodeToString(key[:]) + "\n") }

func (f *File) loadKey(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the wrapping key: %w", err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != len(f.wrap) {
		return &DamageError{f.path, fmt.Sprintf("%s does not hold a key of %d hexadecimal digits", path, 2*len(f.wrap))}
	}
	copy(f.wrap[:], key)
	return nil
}

func (f *File) load() error {
	info, err := os.Stat(f.path)
	if err == nil && info.Size() > maxFile {
		return &DamageError{f.path, fmt.Sprintf("it has %d bytes, more than %d", info.Size(), maxFile)}
	}
	sealed, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("cannot read the keyring: %w", err)
	}
	if len(sealed) < headBytes || !bytes.HasPrefix(sealed, []byte(magic)) {
		return &DamageError{f.path, "it is not a keyring of this version"}
	}
	box, err := chacha20poly1305.NewX(f.wrap[:])
	if err != nil {
		return err
	}
	plain, err := box.Open(nil, sealed[len(magic):headBytes], sealed[headBytes:], []byte(magic))
	if err != nil {
		return &DamageError{f.path, "its bytes were changed, or it was sealed with another key than that in " + f.keyPath}
	}
	var c content
	if err := json.Unmarshal(plain, &c); err != nil {
		return &DamageError{f.path, "its content can't be read"}
	}
	if bad := c.malformed(); bad != "" {
		return &DamageError{f.path, "key " + bad + " in it has a wrong length"}
	}
	f.current.Store(&c)
	return nil
}

// malformed names a key that can't be one.
func (c *content) malformed() string {
	for purpose, keys := range c.Signing {
		for _, k := range keys {
			if len(k.Seed) != ed25519.SeedSize {
				return purpose + " " + k.ID
			}
		}
	}
	for name, key := range c.Data {
		if len(key) != len(DataKey{}) {
			return name
		}
	}
	return ""
}

// save writes c durably, then takes it for the content. A crash leaves the file
// as it was or as it is to be.
func (f *File) save(c *content) error {
	plain, err := json.Marshal(c)
	if err != nil {
		return err
	}
	box, err := chacha20poly1305.NewX(f.wrap[:])
	if err != nil {
		return err
	}
	size := headBytes + len(plain) + box.Overhead()
	if size > maxFile {
		return fmt.Errorf("cannot write the keyring: it would have %d bytes, more than %d", size, maxFile)
	}
	sealed := make([]byte, headBytes, size)
	copy(sealed, magic)
	nonce := sealed[len(magic):]
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	if err := replace(f.path, box.Seal(sealed, nonce, plain, []byte(magic))); err != nil {
		return fmt.Errorf("cannot write the keyring: %w", err)
	}
	f.current.Store(c)
	return nil
}

// Rotate seals the keyring with a new wrapping key, so that older copies of its
// file can't be opened with the key that is kept from now on. The new key lies
// beside the old one until the keyring is sealed with it: a crash leaves a pair
// that fits.
func (f *File) Rotate(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.read()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	old := f.wrap
	var fresh DataKey
	if _, err := rand.Read(fresh[:]); err != nil {
		return err
	}
	if err := replace(f.keyPath+nextSuffix, keyText(fresh)); err != nil {
		return fmt.Errorf("cannot write the new wrapping key: %w", err)
	}
	f.wrap = fresh
	if err := f.save(c); err != nil {
		f.wrap = old
		return err
	}
	if err := os.Rename(f.keyPath+nextSuffix, f.keyPath); err != nil {
		return fmt.Errorf("cannot put the new wrapping key in place: %w", err)
	}
	return syncDir(f.keyPath)
}

// replace writes a file beside path, syncs it, puts it in place and syncs the
// folder. The file is its owner's alone from the beginning.
func replace(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Remove(path + temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	t, err := os.OpenFile(path+temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = t.Write(data)
	err = errors.Join(err, t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(path+temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+temporary))
	}
	return syncDir(path)
}

// syncDir makes durable what became of a file's name.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
