package keyring

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/eventstore/durable"
)

const (
	fileMode = 0o600

	nextSuffix = ".next" // of the wrapping key that a rotation is about to use
	lockSuffix = ".lock" // of the file whose lock keeps other processes out
)

// File is a keyring in one file. What it holds is in memory; a change is written
// behind what the file has, so that it costs the same however many keys there
// are. Reads never wait for a write.
type File struct {
	path, keyPath string
	files         durable.Files
	made          bool

	mu      sync.RWMutex // never held over I/O
	content *content     // guarded by mu, and changed only by the holder of write; nil when closed

	queuing sync.Mutex // never held over I/O
	queue   []*pending // guarded by queuing

	write sync.Mutex // held over a write: changes are made in order
	// Guarded by write.
	wrap    DataKey
	lock    *os.File
	file    durable.File // at its end; nil when closed
	head    []byte       // of the file
	records uint64       // in the file
	size    int64        // of the file
	base    int64        // of it, head and first record
	doubt   bool         // a write has failed: the file is written anew before it is written to
	astray  bool         // wrap is not sure to be in keyPath: it is beside it
}

// OpenFile opens the keyring at path, sealed with the key in the file keyPath,
// for this process alone. keyPath must lie outside of what is backed up together
// with path. What is not there is made, readable by its owner only: both, or the
// keyring for a key that was provided. A keyring whose key is missing is a
// *[DamageError], and so is one that was sealed with another; one that another
// process has open is a *[LockedError].
func OpenFile(path, keyPath string) (*File, error) { return openOn(durable.OS{}, path, keyPath) }

func openOn(files durable.Files, path, keyPath string) (*File, error) {
	f := &File{path: path, keyPath: keyPath, files: files}
	if err := f.acquire(); err != nil {
		return nil, err
	}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// acquire locks the keyring against other processes: each writes behind what it
// has read.
func (f *File) acquire() error {
	if err := durable.MakeDir(f.files, filepath.Dir(f.path)); err != nil {
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
		_ = os.Remove(path + durable.Temporary) // a crash may have left it
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
	if err := f.keepKey(); err != nil {
		return err
	}
	if noRing { // a crash after the key was made leaves this, too
		return f.begin()
	}
	if err := f.load(); err != nil {
		return f.finishRotation(err)
	}
	f.removeNext() // of a rotation that was cut off before it sealed anything
	return nil
}

// keepKey makes the name of the wrapping key durable before anything relies on it:
// a kill may have come before that. A folder that can't be synced is of somebody
// who provides the key.
func (f *File) keepKey() error {
	err := durable.SyncDir(f.files, filepath.Dir(f.keyPath))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot sync the wrapping key's folder: %w", err)
	}
	return nil
}

// removeNext removes the key of a rotation that is over. If it stays it does no harm.
func (f *File) removeNext() {
	next := f.keyPath + nextSuffix
	if _, err := os.Stat(next); err == nil {
		_ = f.files.Remove(next)
	}
}

func (f *File) create() (err error) {
	if f.wrap, err = newKey(); err != nil {
		return err
	}
	if err := durable.MakeDir(f.files, filepath.Dir(f.keyPath)); err != nil {
		return fmt.Errorf("cannot make the wrapping key's folder: %w", err)
	}
	if err := durable.Replace(f.files, f.keyPath, keyText(f.wrap)); err != nil {
		return fmt.Errorf("cannot make the wrapping key: %w", err)
	}
	return f.begin()
}

// begin makes a keyring without a key.
func (f *File) begin() error {
	f.made = true
	return f.take(newContent())
}

// take writes the content whole, and then has it.
func (f *File) take(c *content) error {
	if err := f.rewrite(c, f.wrap); err != nil {
		return fmt.Errorf("cannot write the keyring: %w", err)
	}
	f.content = c
	return nil
}

func newKey() (key DataKey, err error) {
	_, err = rand.Read(key[:])
	return key, err
}

// finishRotation opens the keyring with the key of a rotation that a crash cut
// off after the keyring was sealed anew, and puts that key in place.
func (f *File) finishRotation(because error) error {
	if f.loadKey(f.keyPath+nextSuffix) != nil || f.load() != nil {
		return because
	}
	f.astray = true
	return f.placeKey()
}

// placeKey puts the wrapping key in its place. Until that is durable the key lies
// beside it.
func (f *File) placeKey() error {
	if err := durable.Replace(f.files, f.keyPath, keyText(f.wrap)); err != nil {
		return fmt.Errorf("cannot put the new wrapping key in place: %w", err)
	}
	f.astray = false
	f.removeNext()
	return nil
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

// load reads the file, which then is the one that a power cut would leave. One
// that was not closed in order is written anew, which also removes what a crash
// left half written.
func (f *File) load() error {
	info, err := os.Stat(f.path)
	if err == nil && info.Size() > maxFile {
		return &DamageError{f.path, fmt.Sprintf("it has %d bytes, more than %d", info.Size(), maxFile)}
	}
	file, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("cannot read the keyring: %w", err)
	}
	parse := parse
	if bytes.HasPrefix(file, []byte(oldMagic)) {
		parse = parseOld
	}
	p, wrong := parse(file, &f.wrap)
	if wrong != "" {
		return &DamageError{f.path, wrong + "; its wrapping key is in " + f.keyPath}
	}
	if p.torn || p.records > 1 {
		return f.take(p.content)
	}
	// A kill may have come before its name was synced.
	if err := durable.SyncDir(f.files, filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("cannot sync the keyring's folder: %w", err)
	}
	f.content = p.content
	return f.continueFile(file[:headBytes], p.records, int64(len(file)))
}
