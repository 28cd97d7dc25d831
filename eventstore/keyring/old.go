package keyring

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"

	"golang.org/x/crypto/chacha20poly1305"
)

// The form before this one: magic, 24-byte nonce, then the whole content as JSON
// under the wrapping key. It is read, and written in the form of today at once.
const oldMagic = "hodei keyring 1\n"

type oldContent struct {
	Signing map[string][]struct {
		ID   string `json:"id"`
		Seed []byte `json:"seed"`
	} `json:"signing"`
	Data  map[string][]byte `json:"data"`
	Blobs map[string][]byte `json:"blobs"`
}

// parseOld reads a file of the form before, or says what is wrong with it.
func parseOld(file []byte, wrap *DataKey) (p parsed, wrong string) {
	const head = len(oldMagic) + nonceBytes
	box, err := chacha20poly1305.NewX(wrap[:])
	if err != nil {
		return p, err.Error()
	}
	var old oldContent
	plain, err := []byte(nil), errMalformed
	if len(file) >= head {
		plain, err = box.Open(nil, file[len(oldMagic):head], file[head:], []byte(oldMagic))
	}
	if err != nil || json.NewDecoder(bytes.NewReader(plain)).Decode(&old) != nil {
		return p, "it was changed, or was sealed with another key"
	}
	p = parsed{content: newContent(), torn: true} // so that it is written anew
	add := func(ch change) {
		if !ch.valid() {
			wrong = "key " + ch.name + " in it has a wrong length"
			return
		}
		p.content.apply(ch)
	}
	for purpose, keys := range old.Signing {
		for _, k := range keys {
			if len(k.ID) != kidBytes || len(k.Seed) != ed25519.SeedSize {
				return p, "key " + purpose + " in it has a wrong length"
			}
			add(signingKey{k.ID, k.Seed}.added(purpose))
		}
	}
	for name, key := range old.Data {
		add(change{addData, name, key})
	}
	for name, data := range old.Blobs {
		add(change{putBlob, name, data})
	}
	return p, wrong
}
