// Package blob is the port to a store of objects: bytes under keys, written whole
// and never changed in the middle. Logs of jobs go there when they leave their
// journals; the adapters keep objects in a folder or in S3-compatible storage.
//
// What an adapter promises stands in [Store]; package blobtest proves it.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// MaxKey bounds a key, in bytes. An object's name in S3 may have 1,024, of which
// a configured prefix takes some.
const MaxKey = 512

// UnknownSize says that a body ends where its reader does.
const UnknownSize = -1

// Errors of a [Store], to be tested with errors.Is. Any other error, but those of
// a context or of a body's reader, is a fault of the caller.
var (
	ErrNotFound    = errors.New("blob: there is no such object")
	ErrExists      = errors.New("blob: there is such an object already")
	ErrUnavailable = errors.New("blob: the store does not answer as it should; later it may")
	ErrKey         = errors.New("blob: this is no key")
)

// Info is what is known of an object without reading it.
type Info struct {
	Key      string
	Size     int64     // in bytes
	Modified time.Time // by the store's clock
}

// Options of [Store.Put].
type Options struct {
	Size   int64 // of the body in bytes, or UnknownSize; that it is shorter is an error
	Create bool  // fail with ErrExists if there is such an object
}

// Store keeps objects. All methods are safe for concurrent use, return soon after
// ctx ends, and have time limits of their own, so that a store which hangs is
// ErrUnavailable in the end.
//
// What was put can be read by everybody as soon as Put has returned, and is on
// lasting storage then. An object is whole or absent, whatever dies in between.
// Keys are what [CheckKey] says; each method answers another with ErrKey.
type Store interface {
	// Put stores the body under the key; without Options.Create it replaces what
	// was there. If it fails, it may have been done nevertheless. Errors: ErrExists,
	// ErrUnavailable, that of the body.
	Put(ctx context.Context, key string, body io.Reader, o Options) error

	// Get returns n bytes of the object from the offset on, fewer only where it
	// ends; n is at most MaxGet. Errors: ErrNotFound, ErrUnavailable.
	Get(ctx context.Context, key string, offset int64, n int) ([]byte, error)

	// Stat says what is known of an object. Errors: ErrNotFound, ErrUnavailable.
	Stat(ctx context.Context, key string) (Info, error)

	// List yields the objects whose keys begin with the prefix, in no order; an
	// empty prefix is all. What is put or deleted meanwhile may be missing or not.
	// After an error it ends. Errors: ErrUnavailable, ErrKey for a prefix that no
	// key can have.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Delete removes an object; that there is none is no error. Errors:
	// ErrUnavailable.
	Delete(ctx context.Context, key string) error
}

// MaxGet is how many bytes one Get returns at most.
const MaxGet = 64 << 20

// CheckKey returns nil for a key: at most MaxKey bytes of small letters, digits,
// ".", "-" and "_", in parts joined by "/"; no part is empty or begins with ".".
// So a key is a safe path below a folder, whatever it is made of.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("%w: it has %d bytes, 1 to %d may be", ErrKey, len(key), MaxKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part[0] == '.' {
			return fmt.Errorf("%w: %q has a part that is empty or begins with a dot", ErrKey, key)
		}
	}
	return checkLetters(key)
}

// CheckPrefix returns nil for what a key can begin with, the empty prefix included.
func CheckPrefix(prefix string) error {
	if len(prefix) > MaxKey {
		return fmt.Errorf("%w: the prefix has %d bytes, at most %d may be", ErrKey, len(prefix), MaxKey)
	}
	if prefix == "" {
		return nil
	}
	return CheckKey(strings.TrimSuffix(prefix, "/"))
}

func checkLetters(key string) error {
	for i := range len(key) {
		switch c := key[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '-', c == '_', c == '/':
		default:
			return fmt.Errorf("%w: %q has %q in it", ErrKey, key, c)
		}
	}
	return nil
}

// CheckRange returns an error for a range that Get can't have.
func CheckRange(offset int64, n int) error {
	if offset < 0 || n < 0 || n > MaxGet {
		return fmt.Errorf("blob: cannot get %d bytes from %d: at most %d from 0 on", n, offset, MaxGet)
	}
	return nil
}
