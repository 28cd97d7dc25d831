package keyring

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
)

// What is kept is a list of changes; applied in order they make the content. A
// change is
//
//	kind 1 byte | length of name | name | length of value | value
//
// with lengths as unsigned varints.
type change struct {
	kind  changeKind
	name  string
	value []byte
}

type changeKind byte

// The numbers are stored: none is ever given another meaning.
const (
	addSigning changeKind = 1 // of a purpose: 16 characters of the id, then the seed
	addData    changeKind = 2
	dropData   changeKind = 3 // without a value
	putBlob    changeKind = 4
)

const kidBytes = 16 // characters of a signing key's id

// content is what the keyring holds.
type content struct {
	signing map[string][]signingKey // by purpose, newest last
	data    map[string]DataKey
	blobs   map[string][]byte
}

type signingKey struct {
	id   string
	seed []byte
}

func newContent() *content {
	return &content{signing: map[string][]signingKey{}, data: map[string]DataKey{}, blobs: map[string][]byte{}}
}

// apply takes a change that was checked.
func (c *content) apply(ch change) {
	switch ch.kind {
	case addSigning:
		c.signing[ch.name] = append(c.signing[ch.name], signingKey{string(ch.value[:kidBytes]), ch.value[kidBytes:]})
	case addData:
		c.data[ch.name] = DataKey(ch.value)
	case dropData:
		delete(c.data, ch.name)
	case putBlob:
		c.blobs[ch.name] = ch.value
	}
}

// changes returns what makes the content of nothing.
func (c *content) changes() []change {
	all := make([]change, 0, len(c.data)+len(c.blobs)+len(c.signing))
	for purpose, keys := range c.signing {
		for _, k := range keys {
			all = append(all, k.added(purpose))
		}
	}
	for name, key := range c.data {
		all = append(all, change{addData, name, key[:]})
	}
	for name, data := range c.blobs {
		all = append(all, change{putBlob, name, data})
	}
	return all
}

func (k signingKey) added(purpose string) change {
	return change{addSigning, purpose, append([]byte(k.id), k.seed...)}
}

func (k signingKey) private() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.seed) }

func encode(changes []change) []byte {
	var b []byte
	for _, ch := range changes {
		b = append(b, byte(ch.kind))
		b = binary.AppendUvarint(b, uint64(len(ch.name)))
		b = append(b, ch.name...)
		b = binary.AppendUvarint(b, uint64(len(ch.value)))
		b = append(b, ch.value...)
	}
	return b
}

var errMalformed = errors.New("it can't be read")

// decode reads what encode wrote, and hands each change over.
func decode(b []byte, each func(change)) error {
	for len(b) > 0 {
		ch := change{kind: changeKind(b[0])}
		name, rest, ok := field(b[1:])
		if !ok {
			return errMalformed
		}
		value, rest, ok := field(rest)
		if !ok {
			return errMalformed
		}
		ch.name, ch.value, b = string(name), bytes.Clone(value), rest
		if !ch.valid() {
			return errMalformed
		}
		each(ch)
	}
	return nil
}

func field(b []byte) (value, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	return b[used : used+int(n)], b[used+int(n):], true
}

func (ch change) valid() bool {
	switch ch.kind {
	case addSigning:
		return len(ch.value) == kidBytes+ed25519.SeedSize
	case addData:
		return len(ch.value) == len(DataKey{})
	case dropData:
		return len(ch.value) == 0
	case putBlob:
		return len(ch.value) <= MaxBlob
	}
	return false
}

// draft is content with changes that are not durable yet, so that nobody else
// sees them.
type draft struct {
	base    *content
	changes []change

	data    map[string]bool       // data keys that were added (true) or dropped
	signing map[string]signingKey // the newest of those that were added
}

func newDraft(base *content) *draft {
	return &draft{base: base, data: map[string]bool{}, signing: map[string]signingKey{}}
}

func (d *draft) add(ch change) {
	d.changes = append(d.changes, ch)
	switch ch.kind {
	case addSigning:
		d.signing[ch.name] = signingKey{string(ch.value[:kidBytes]), ch.value[kidBytes:]}
	case addData:
		d.data[ch.name] = true
	case dropData:
		d.data[ch.name] = false
	}
}

func (d *draft) hasData(name string) bool {
	if there, changed := d.data[name]; changed {
		return there
	}
	_, there := d.base.data[name]
	return there
}

// newest returns the key that signs, and whether there is one.
func (d *draft) newest(purpose string) (signingKey, bool) {
	if k, ok := d.signing[purpose]; ok {
		return k, true
	}
	return d.base.newest(purpose)
}

func (c *content) newest(purpose string) (signingKey, bool) {
	keys := c.signing[purpose]
	if len(keys) == 0 {
		return signingKey{}, false
	}
	return keys[len(keys)-1], true
}
