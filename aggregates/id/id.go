// Package id names what the system gives names to: jobs, workers, tokens,
// servers. An id is 40 random bits, written as 8 characters without i, l, o and
// u, so that it can be read aloud and never looks like a word. That two ids
// clash is unlikely, not impossible: what is new is written to a stream that must
// not exist yet, so a clash is detected there and another id is taken.
package id

import (
	"fmt"
	"strings"
)

// Length is how many characters an id has.
const Length = 8

const (
	alphabet     = "0123456789abcdefghjkmnpqrstvwxyz"
	bits         = 5 // a character
	jobPrefix    = "job-"
	workerPrefix = "worker-"
)

// ID is an id: 40 bits in a number. 0 is none, and is written as "".
type ID uint64

// FromBytes makes an id of 5 (random) bytes. All zero bytes make no id.
func FromBytes(b [5]byte) ID {
	return ID(b[0])<<32 | ID(b[1])<<24 | ID(b[2])<<16 | ID(b[3])<<8 | ID(b[4])
}

// Parse reads an id as String writes it: 8 characters, small letters, not all 0.
func Parse(s string) (ID, error) {
	if len(s) != Length {
		return 0, fmt.Errorf("%q is not an id: an id has %d characters", s, Length)
	}
	var i ID
	for n := range len(s) {
		v := values[s[n]]
		if v < 0 {
			return 0, fmt.Errorf("%q is not an id: %q can't be in one", s, s[n])
		}
		i = i<<bits | ID(v)
	}
	if i == 0 {
		return 0, fmt.Errorf("%q is not an id: it is all zeros", s)
	}
	return i, nil
}

// ParseJob is Parse for what may have "job-" in front.
func ParseJob(s string) (ID, error) { return Parse(strings.TrimPrefix(s, jobPrefix)) }

// ParseWorker is Parse for what may have "worker-" in front.
func ParseWorker(s string) (ID, error) { return Parse(strings.TrimPrefix(s, workerPrefix)) }

// String returns the id's 8 characters, or "" for none.
func (i ID) String() string {
	if i == 0 {
		return ""
	}
	var b [Length]byte
	i.put(&b)
	return string(b[:])
}

// Append appends what String returns to b.
func (i ID) Append(b []byte) []byte {
	if i == 0 {
		return b
	}
	var text [Length]byte
	i.put(&text)
	return append(b, text[:]...)
}

func (i ID) put(b *[Length]byte) {
	for n := Length - 1; n >= 0; n-- {
		b[n] = alphabet[i&(1<<bits-1)]
		i >>= bits
	}
}

// MarshalText writes the id as String does; it also serves JSON.
func (i ID) MarshalText() ([]byte, error) { return i.Append(nil), nil }

// UnmarshalText reads what MarshalText wrote, "" included.
func (i *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*i = 0
		return nil
	}
	parsed, err := Parse(string(text))
	if err == nil {
		*i = parsed
	}
	return err
}

// values holds what each character stands for; -1 for those that can't be in an
// id.
var values = func() (v [256]int8) {
	for c := range v {
		v[c] = int8(strings.IndexByte(alphabet, byte(c)))
	}
	return v
}()
