package keyring

import (
	"crypto/rand"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrSealed is the answer of [DataKey.Open] when what is sealed can't be opened:
// it was changed, sealed with another key, or belongs to something else.
var ErrSealed = errors.New("it can't be opened with this key")

// SealedOverhead is how many bytes longer than its text something sealed is.
const SealedOverhead = nonceBytes + overhead

// Seal encrypts a text so that only this key opens it, and only for what it
// belongs to: the nonce and then what XChaCha20-Poly1305 makes of it. The nonce is
// random, so a key may seal any number of texts.
func (k DataKey) Seal(plain, belongs []byte) ([]byte, error) {
	box, err := chacha20poly1305.NewX(k[:])
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, nonceBytes, len(plain)+SealedOverhead)
	if _, err := rand.Read(sealed); err != nil {
		return nil, err
	}
	return box.Seal(sealed, sealed, plain, belongs), nil
}

// Open decrypts what Seal made for the same thing, or answers [ErrSealed].
func (k DataKey) Open(sealed, belongs []byte) ([]byte, error) {
	box, err := chacha20poly1305.NewX(k[:])
	if err != nil {
		return nil, err
	}
	if len(sealed) < SealedOverhead {
		return nil, ErrSealed
	}
	plain, err := box.Open(nil, sealed[:nonceBytes], sealed[nonceBytes:], belongs)
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
