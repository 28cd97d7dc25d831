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
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// The file: magic, 24-byte nonce, then the content as JSON sealed with
// XChaCha20-Poly1305 under the wrapping key, the magic as additional data. The
// whole content is sealed at once, so that names can't be seen and entries can't
// be swapped or brought back one by one.
const (
	magic    = "hodei keyring 1\n"
	fileMode = 0o600
	maxFile  = 64 << 20 // bytes
)

// File is a keyring in one file.
type File struct {
	path, keyPath string

	mu      sync.Mutex // held over writes: they are rare and must be in order
	wrap    DataKey
	content content
	closed  bool
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

// OpenFile opens the keyring at path, sealed with the key in the file keyPath.
// Both are made, readable by their owner only, if neither is there; one without
// the other is an error, since something was lost. keyPath must lie outside of
// what is backed up together with path.
func OpenFile(path, keyPath string) (*File, error) {
	f := &File{path: path, keyPath: keyPath}
	_, ringErr := os.Stat(path)
	_, keyErr := os.Stat(keyPath)
	switch {
	case errors.Is(ringErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist):
		return f, f.create()
	case errors.Is(keyErr, fs.ErrNotExist):
		return nil, &DamageError{path, "its wrapping key " + keyPath + " is missing"}
	case errors.Is(ringErr, fs.ErrNotExist):
		// The key is made first, so a crash at the first start leaves it alone.
		if err := f.loadKey(keyPath); err != nil {
			return nil, err
		}
		return f, f.save(content{})
	}
	if err := f.loadKey(keyPath); err != nil {
		return nil, err
	}
	if err := f.load(); err != nil {
		return f.finishRotation(err)
	}
	return f, nil
}

// nextKey is where a new wrapping key lies until the keyring is sealed with it.
func (f *File) nextKey() string { return f.keyPath + ".next" }

// finishRotation opens the keyring with the key of a rotation that a crash cut
// off after the keyring was sealed anew, and puts that key in place.
func (f *File) finishRotation(because error) (*File, error) {
	if f.loadKey(f.nextKey()) != nil || f.load() != nil {
		return nil, because
	}
	if err := replace(f.keyPath, []byte(hex.EncodeToString(f.wrap[:])+"\n")); err != nil {
		return nil, fmt.Errorf("cannot put the new wrapping key in place: %w", err)
	}
	return f, os.Remove(f.nextKey())
}

func (f *File) create() error {
	if _, err := rand.Read(f.wrap[:]); err != nil {
		return err
	}
	if err := replace(f.keyPath, []byte(hex.EncodeToString(f.wrap[:])+"\n")); err != nil {
		return fmt.Errorf("cannot make the wrapping key: %w", err)
	}
	return f.save(content{})
}

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
	rest, ok := bytes.CutPrefix(sealed, []byte(magic))
	if !ok || len(rest) < chacha20poly1305.NonceSizeX {
		return &DamageError{f.path, "it is not a keyring"}
	}
	box, err := chacha20poly1305.NewX(f.wrap[:])
	if err != nil {
		return err
	}
	plain, err := box.Open(nil, rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:], []byte(magic))
	if err != nil {
		return &DamageError{f.path, "its bytes were changed, or it was sealed with another key than that in " + f.keyPath}
	}
	if err := json.Unmarshal(plain, &f.content); err != nil {
		return &DamageError{f.path, "its content is of another version"}
	}
	return nil
}

// save writes c durably, then takes it for the content. A crash leaves the file
// as it was or as it is to be.
func (f *File) save(c content) error {
	plain, err := json.Marshal(c)
	if err != nil {
		return err
	}
	box, err := chacha20poly1305.NewX(f.wrap[:])
	if err != nil {
		return err
	}
	head := make([]byte, len(magic)+chacha20poly1305.NonceSizeX, len(magic)+chacha20poly1305.NonceSizeX+len(plain)+box.Overhead())
	copy(head, magic)
	nonce := head[len(magic):]
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	if err := replace(f.path, box.Seal(head, nonce, plain, []byte(magic))); err != nil {
		return fmt.Errorf("cannot write the keyring: %w", err)
	}
	f.content = c
	return nil
}

// replace writes a file beside path, syncs it, puts it in place and syncs the
// folder.
func replace(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(fileMode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// change applies fn to a copy of the content and saves it, if fn says so.
func (f *File) change(ctx context.Context, fn func(*content) (changed bool, err error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c := content{Signing: maps.Clone(f.content.Signing), Data: maps.Clone(f.content.Data), Blobs: maps.Clone(f.content.Blobs)}
	for _, m := range []*map[string][]byte{&c.Data, &c.Blobs} {
		if *m == nil {
			*m = map[string][]byte{}
		}
	}
	if c.Signing == nil {
		c.Signing = map[string][]signingKey{}
	}
	changed, err := fn(&c)
	if err != nil || !changed {
		return err
	}
	return f.save(c)
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("a key's name has 1 to %d bytes, %q has %d", MaxName, name, len(name))
	}
	return nil
}

// SigningKey implements [Keyring].
func (f *File) SigningKey(ctx context.Context, purpose string) (kid string, key ed25519.PrivateKey, err error) {
	err = f.change(ctx, func(c *content) (changed bool, err error) {
		if err := checkName(purpose); err != nil {
			return false, err
		}
		if len(c.Signing[purpose]) == 0 {
			changed = true
			if err := c.addSigning(purpose); err != nil {
				return false, err
			}
		}
		newest := c.Signing[purpose][len(c.Signing[purpose])-1]
		if len(newest.Seed) != ed25519.SeedSize {
			return false, &DamageError{f.path, "signing key " + newest.ID + " is not one"}
		}
		kid, key = newest.ID, ed25519.NewKeyFromSeed(newest.Seed)
		return changed, nil
	})
	if err != nil {
		return "", nil, err
	}
	return kid, key, nil
}

// RotateSigningKey implements [Keyring].
func (f *File) RotateSigningKey(ctx context.Context, purpose string) (kid string, err error) {
	err = f.change(ctx, func(c *content) (bool, error) {
		if err := errors.Join(checkName(purpose), c.addSigning(purpose)); err != nil {
			return false, err
		}
		kid = c.Signing[purpose][len(c.Signing[purpose])-1].ID
		return true, nil
	})
	return kid, err
}

func (c *content) addSigning(purpose string) error {
	seed, kid := make([]byte, ed25519.SeedSize), make([]byte, 8)
	if _, err := rand.Read(seed); err != nil {
		return err
	}
	if _, err := rand.Read(kid); err != nil {
		return err
	}
	// The slice is shared with the content before: never append in place.
	c.Signing[purpose] = append(append([]signingKey(nil), c.Signing[purpose]...), signingKey{hex.EncodeToString(kid), seed})
	return nil
}

// VerifyKeys implements [Keyring].
func (f *File) VerifyKeys(_ context.Context, purpose string) (map[string]ed25519.PublicKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	out := map[string]ed25519.PublicKey{}
	for _, k := range f.content.Signing[purpose] {
		if len(k.Seed) == ed25519.SeedSize {
			out[k.ID] = ed25519.NewKeyFromSeed(k.Seed).Public().(ed25519.PublicKey)
		}
	}
	return out, nil
}

// CreateDataKey implements [Keyring].
func (f *File) CreateDataKey(ctx context.Context, name string) (key DataKey, err error) {
	err = f.change(ctx, func(c *content) (bool, error) {
		if err := checkName(name); err != nil {
			return false, err
		}
		if _, ok := c.Data[name]; ok {
			return false, fmt.Errorf("data key %q is there already", name)
		}
		if _, err := rand.Read(key[:]); err != nil {
			return false, err
		}
		c.Data[name] = bytes.Clone(key[:])
		return true, nil
	})
	if err != nil {
		return DataKey{}, err
	}
	return key, nil
}

// DataKey implements [Keyring].
func (f *File) DataKey(_ context.Context, name string) (key DataKey, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return key, ErrClosed
	}
	kept, ok := f.content.Data[name]
	if !ok || len(kept) != len(key) {
		return key, &MissingError{name}
	}
	copy(key[:], kept)
	return key, nil
}

// DropDataKey implements [Keyring].
func (f *File) DropDataKey(ctx context.Context, name string) error {
	return f.change(ctx, func(c *content) (bool, error) {
		_, ok := c.Data[name]
		delete(c.Data, name)
		return ok, nil
	})
}

// GetBlob implements [Keyring].
func (f *File) GetBlob(_ context.Context, name string) (data []byte, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, false, ErrClosed
	}
	data, ok = f.content.Blobs[name]
	return bytes.Clone(data), ok, nil
}

// PutBlob implements [Keyring].
func (f *File) PutBlob(ctx context.Context, name string, data []byte) error {
	return f.change(ctx, func(c *content) (bool, error) {
		if err := checkName(name); err != nil {
			return false, err
		}
		if len(data) > MaxBlob {
			return false, fmt.Errorf("blob %q has %d bytes, more than %d", name, len(data), MaxBlob)
		}
		c.Blobs[name] = bytes.Clone(data)
		return true, nil
	})
}

// Rotate seals the keyring with a new wrapping key, so that older copies of its
// file can't be opened with the key that is kept from now on. The new key lies
// beside the old one until the keyring is sealed with it: a crash leaves a pair
// that fits.
func (f *File) Rotate(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var fresh DataKey
	if _, err := rand.Read(fresh[:]); err != nil {
		return err
	}
	text := []byte(hex.EncodeToString(fresh[:]) + "\n")
	if err := replace(f.nextKey(), text); err != nil {
		return fmt.Errorf("cannot write the new wrapping key: %w", err)
	}
	old := f.wrap
	f.wrap = fresh
	if err := f.save(f.content); err != nil {
		f.wrap = old
		return err
	}
	if err := replace(f.keyPath, text); err != nil {
		return fmt.Errorf("cannot put the new wrapping key in place: %w", err)
	}
	return os.Remove(f.nextKey())
}

// Close forgets what was read. It may be called twice.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed, f.content, f.wrap = true, content{}, DataKey{}
	return nil
}

// String hides the content.
func (f *File) String() string { return "keyring " + f.path }

var _ Keyring = (*File)(nil)
