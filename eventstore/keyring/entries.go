package keyring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

var _ Keyring = (*File)(nil)

// Made reports whether OpenFile made the keyring because there was none. For a
// server whose log isn't empty that means that its keys were lost.
func (f *File) Made() bool { return f.made }

// read hands the content to fn, which must not keep it.
func (f *File) read(fn func(*content)) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.content == nil {
		return ErrClosed
	}
	fn(f.content)
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("a key's name has 1 to %d bytes, %q has %d", MaxName, name, len(name))
	}
	return nil
}

// SigningKey implements [Keyring].
func (f *File) SigningKey(ctx context.Context, purpose string) (kid string, key ed25519.PrivateKey, err error) {
	var k signingKey
	var ok bool
	if err := f.read(func(c *content) { k, ok = c.newest(purpose) }); err != nil {
		return "", nil, err
	}
	if !ok {
		err = f.change(ctx, func(d *draft) (err error) {
			if k, ok = d.newest(purpose); ok { // another caller has made it
				return nil
			}
			k, err = d.addSigning(purpose)
			return err
		})
	}
	if err != nil {
		return "", nil, err
	}
	return k.id, k.private(), nil
}

// RotateSigningKey implements [Keyring].
func (f *File) RotateSigningKey(ctx context.Context, purpose string) (kid string, err error) {
	err = f.change(ctx, func(d *draft) error {
		k, err := d.addSigning(purpose)
		kid = k.id
		return err
	})
	if err != nil {
		return "", err
	}
	return kid, nil
}

func (d *draft) addSigning(purpose string) (k signingKey, err error) {
	if err := checkName(purpose); err != nil {
		return k, err
	}
	var kid [kidBytes / 2]byte
	k.seed = make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(k.seed); err != nil {
		return k, err
	}
	if _, err := rand.Read(kid[:]); err != nil {
		return k, err
	}
	k.id = hex.EncodeToString(kid[:])
	d.add(k.added(purpose))
	return k, nil
}

// VerifyKeys implements [Keyring].
func (f *File) VerifyKeys(_ context.Context, purpose string) (map[string]ed25519.PublicKey, error) {
	out := map[string]ed25519.PublicKey{}
	err := f.read(func(c *content) {
		for _, k := range c.signing[purpose] {
			out[k.id] = k.private().Public().(ed25519.PublicKey)
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// CreateDataKeys implements [Keyring].
func (f *File) CreateDataKeys(ctx context.Context, names ...string) ([]DataKey, error) {
	keys := make([]DataKey, len(names))
	err := f.change(ctx, func(d *draft) error {
		seen := make(map[string]bool, len(names))
		for i, name := range names {
			if err := checkName(name); err != nil {
				return err
			}
			if d.hasData(name) || seen[name] {
				return fmt.Errorf("data key %q is there already", name)
			}
			seen[name] = true
			if _, err := rand.Read(keys[i][:]); err != nil {
				return err
			}
		}
		for i, name := range names {
			d.add(change{addData, name, bytes.Clone(keys[i][:])})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// DataKey implements [Keyring].
func (f *File) DataKey(_ context.Context, name string) (key DataKey, err error) {
	var ok bool
	if err := f.read(func(c *content) { key, ok = c.data[name] }); err != nil {
		return DataKey{}, err
	}
	if !ok {
		return DataKey{}, &MissingError{name}
	}
	return key, nil
}

// DropDataKeys implements [Keyring].
func (f *File) DropDataKeys(ctx context.Context, names ...string) error {
	return f.change(ctx, func(d *draft) error {
		for _, name := range names {
			if d.hasData(name) {
				d.add(change{kind: dropData, name: name})
			}
		}
		return nil
	})
}

// DataKeyNames implements [Keyring].
func (f *File) DataKeyNames(_ context.Context, prefix string) (names []string, err error) {
	err = f.read(func(c *content) {
		for name := range c.data {
			if strings.HasPrefix(name, prefix) {
				names = append(names, name)
			}
		}
	})
	slices.Sort(names)
	return names, err
}

// GetBlob implements [Keyring].
func (f *File) GetBlob(_ context.Context, name string) (data []byte, ok bool, err error) {
	err = f.read(func(c *content) { data, ok = c.blobs[name] })
	return bytes.Clone(data), ok, err
}

// PutBlob implements [Keyring].
func (f *File) PutBlob(ctx context.Context, name string, data []byte) error {
	return f.change(ctx, func(d *draft) error {
		if err := checkName(name); err != nil {
			return err
		}
		if len(data) > MaxBlob {
			return fmt.Errorf("blob %q has %d bytes, more than %d", name, len(data), MaxBlob)
		}
		d.add(change{putBlob, name, bytes.Clone(data)})
		return nil
	})
}

// String hides the content.
func (f *File) String() string { return "keyring " + f.path }

// GoString hides the content.
func (f *File) GoString() string { return f.String() }
