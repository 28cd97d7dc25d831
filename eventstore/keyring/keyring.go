// Package keyring keeps the keys that must never be in the log: signing keys,
// data keys, and small secrets of the server itself such as its authority's key.
// Everything in it is sealed with one wrapping key, which comes from elsewhere.
//
// What is written is durable before the call returns, so that an event that
// needs a key can be appended after it. Dropping a data key is final: what was
// encrypted with it can't be read any more (crypto-shredding), once copies of
// the file are useless too, which [File.Rotate] of the wrapping key sees to.
package keyring

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
)

// Limits of a keyring.
const (
	MaxName = 256     // bytes of a name
	MaxBlob = 1 << 20 // bytes of a blob
)

// ErrClosed is the answer of a keyring that was closed.
var ErrClosed = errors.New("keyring is closed")

// LockedError says that another process has the keyring open.
type LockedError struct {
	Path string
	PID  int // of that process; 0 if it is not known
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("cannot open the keyring %s: process %d has it open", e.Path, e.PID)
}

// MissingError says that a key is not there: it was never made, or it was
// dropped, or the file that held it was lost.
type MissingError struct{ Name string }

func (e *MissingError) Error() string { return fmt.Sprintf("key %q is not in the keyring", e.Name) }

// DamageError says that the keyring can't be read: its bytes are not what was
// written, or it was sealed with another wrapping key.
type DamageError struct{ Path, Reason string }

func (e *DamageError) Error() string {
	return fmt.Sprintf("cannot read the keyring %s: %s", e.Path, e.Reason)
}

// DataKey is a secret key of 256 bits. However it is printed or logged, nothing
// of it shows.
type DataKey [32]byte

const hidden = "***"

// Format hides the key from every verb of package fmt.
func (DataKey) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// MarshalText hides the key from encoders, such as that of a JSON log.
func (DataKey) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Keyring is the port. All methods are safe for concurrent use; those that
// change something are durable when they return.
type Keyring interface {
	// SigningKey returns the newest signing key for a purpose, and makes one if
	// there is none.
	SigningKey(ctx context.Context, purpose string) (kid string, key ed25519.PrivateKey, err error)
	// RotateSigningKey makes a new key for the purpose; the older ones stay valid
	// for verifying.
	RotateSigningKey(ctx context.Context, purpose string) (kid string, err error)
	// VerifyKeys returns the public keys of a purpose by id, also older ones.
	VerifyKeys(ctx context.Context, purpose string) (map[string]ed25519.PublicKey, error)

	// CreateDataKeys makes a data key under each of the names, all of them or none, in
	// one write. A name that is in use is an error: a key is never replaced.
	CreateDataKeys(ctx context.Context, names ...string) ([]DataKey, error)
	// DataKey returns a data key, or *MissingError.
	DataKey(ctx context.Context, name string) (DataKey, error)
	// DropDataKeys forgets data keys for ever, in one write; it is no error if some
	// aren't there.
	DropDataKeys(ctx context.Context, names ...string) error
	// DataKeyNames returns the names of data keys that begin with a prefix, sorted.
	DataKeyNames(ctx context.Context, prefix string) ([]string, error)

	// GetBlob returns a small secret, or ok = false.
	GetBlob(ctx context.Context, name string) (data []byte, ok bool, err error)
	// PutBlob stores one, in place of what had the name.
	PutBlob(ctx context.Context, name string, data []byte) error

	Close() error
}
