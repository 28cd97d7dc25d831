package fields_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore/fields"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	unsigned := []uint64{0, 1, 127, 128, 300, math.MaxUint64}
	signed := []int64{0, -1, 1, 63, -64, 64, math.MinInt64, math.MaxInt64}
	var form []byte
	for _, n := range unsigned {
		form = binary.AppendUvarint(form, n)
	}
	for _, n := range signed {
		form = binary.AppendVarint(form, n)
	}
	form = append(form, "bytes"...)
	for size := range len(form) + 1 { // whole at its whole length alone
		r := fields.Reader{Rest: form[:size]}
		for _, want := range unsigned {
			if n := r.Uvarint(); n != want && !r.Bad {
				t.Errorf("of %d bytes %d is read, want %d", size, n, want)
			}
		}
		for _, want := range signed {
			if n := r.Varint(); n != want && !r.Bad {
				t.Errorf("of %d bytes %d is read, want %d", size, n, want)
			}
		}
		if b := r.Bytes(5); string(b) != "bytes" && !r.Bad {
			t.Errorf("of %d bytes %q is read", size, b)
		}
		if r.Whole() != (size == len(form)) {
			t.Errorf("%d of %d bytes count as whole: %v", size, len(form), r.Whole())
		}
	}
}

func TestAfterWhatIsNotThereNothingIs(t *testing.T) {
	for name, read := range map[string]func(*fields.Reader){
		"more bytes than there are":          func(r *fields.Reader) { r.Bytes(4) },
		"more bytes than a machine can have": func(r *fields.Reader) { r.Bytes(math.MaxUint64) },
	} {
		r := fields.Reader{Rest: []byte("abc")}
		read(&r)
		if n, b := r.Uvarint(), r.Bytes(1); !r.Bad || n != 0 || b != nil || r.Whole() {
			t.Errorf("%s: then %d and %q", name, n, b)
		}
	}
	r := fields.Reader{Rest: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1}} // too long for 64 bits
	if n, after := r.Uvarint(), r.Uvarint(); !r.Bad || n != 0 || after != 0 {
		t.Errorf("a number that is too large: %d, then %d", n, after)
	}
	spare := fields.Reader{Rest: []byte("abc")}
	b := append(spare.Bytes(1), 'x')
	if string(b) != "ax" || string(spare.Rest) != "bc" {
		t.Errorf("what is appended to a field overwrites the next: %q", spare.Rest)
	}
}
