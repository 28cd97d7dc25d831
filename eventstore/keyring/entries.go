package keyring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
)

var _ Keyring = (*File)(nil)

// Made reports whether OpenFile made the keyring because there was none. For a
// server whose log isn't empty that means that its keys were lost.
func (f *File) Made() bool { return f.made }

// read returns the content as it is now.
func (f *File) read() (*content, error) {
	if c := f.current.Load(); c != nil {
		return c, nil
	}
	return nil, ErrClosed
}

// change applies fn to a copy of the content and saves it, if fn says so.
func (f *File) change(ctx context.Context, fn func(*content) (changed bool, err error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := f.read()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &content{Signing: copied(now.Signing), Data: copied(now.Data), Blobs: copied(now.Blobs)}
	changed, err := fn(c)
	if err != nil || !changed {
		return err
	}
	return f.save(c)
}

// copied is maps.Clone, but can be written to.
func copied[V any](m map[string]V) map[string]V {
	out := make(map[string]V, len(m)+1)
	maps.Copy(out, m)
	return out
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("a key's name has 1 to %d bytes, %q has %d", MaxName, name, len(name))
	}
	return nil
}

// newest returns the key that signs, and whether there is one.
func (c *content) newest(purpose string) (kid string, key ed25519.PrivateKey, ok bool) {
	keys := c.Signing[purpose]
	if len(keys) == 0 {
		return "", nil, false
	}
	k := keys[len(keys)-1]
	return k.ID, ed25519.NewKeyFromSeed(k.Seed), true
}

// SigningKey implements [Keyring].
func (f *File) SigningKey(ctx context.Context, purpose string) (kid string, key ed25519.PrivateKey, err error) {
	c, err := f.read()
	if err != nil {
		return "", nil, err
	}
	if kid, key, ok := c.newest(purpose); ok {
		return kid, key, nil
	}
	err = f.change(ctx, func(c *content) (changed bool, err error) {
		var ok bool
		if kid, key, ok = c.newest(purpose); ok { // another caller has made it
			return false, nil
		}
		if err := c.addSigning(purpose); err != nil {
			return false, err
		}
		kid, key, _ = c.newest(purpose)
		return true, nil
	})
	if err != nil {
		return "", nil, err
	}
	return kid, key, nil
}

// RotateSigningKey implements [Keyring].
func (f *File) RotateSigningKey(ctx context.Context, purpose string) (kid string, err error) {
	err = f.change(ctx, func(c *content) (bool, error) {
		if err := c.addSigning(purpose); err != nil {
			return false, err
		}
		kid, _, _ = c.newest(purpose)
		return true, nil
	})
	if err != nil {
		return "", err
	}
	return kid, nil
}

func (c *content) addSigning(purpose string) error {
	if err := checkName(purpose); err != nil {
		return err
	}
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
	c, err := f.read()
	if err != nil {
		return nil, err
	}
	out := make(map[string]ed25519.PublicKey, len(c.Signing[purpose]))
	for _, k := range c.Signing[purpose] {
		out[k.ID] = ed25519.NewKeyFromSeed(k.Seed).Public().(ed25519.PublicKey)
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
func (f *File) DataKey(_ context.Context, name string) (DataKey, error) {
	c, err := f.read()
	if err != nil {
		return DataKey{}, err
	}
	key, ok := c.Data[name]
	if !ok {
		return DataKey{}, &MissingError{name}
	}
	return DataKey(key), nil
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
	c, err := f.read()
	if err != nil {
		return nil, false, err
	}
	data, ok = c.Blobs[name]
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

// Close forgets what was read and lets other processes in. It may be called twice.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current.Store(nil)
	f.wrap = DataKey{}
	lock := f.lock
	f.lock = nil
	if lock == nil {
		return nil
	}
	return lock.Close()
}

// String hides the content.
func (f *File) String() string { return "keyring " + f.path }

// GoString hides the content.
func (f *File) GoString() string { return f.String() }
