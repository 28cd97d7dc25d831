package worldtest

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/hodei-jobs/hodei/projections/canonical"
)

// Part is a read model of the World.
type Part[P any] interface {
	Fork() P
	Encode(*canonical.Writer)
}

// Model is a part in its simplest form.
type Model[P any] interface {
	// Step changes both at random.
	Step(*rapid.T, P)
	// Check fails where they differ.
	Check(*rapid.T, P)
	// Load returns what a snapshot of the part gives back.
	Load(*rapid.T, *canonical.Reader) P
}

const (
	steps = 60 // of a history, at most
	magic = "part"
)

// AgreesWithItsModel shows that a part is what the simplest form of it is, also
// after it was forked or loaded, and that a fork is not seen by what it was made
// from.
func AgreesWithItsModel[P Part[P]](t *testing.T, begin func() (P, Model[P])) {
	rapid.Check(t, func(t *rapid.T) {
		part, m := begin()
		for range rapid.IntRange(1, steps).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "how") {
			case 0:
				old, before := part, form(t, part)
				defer func() {
					if !bytes.Equal(form(t, old), before) {
						t.Fatal("a change of a fork was seen by its source")
					}
				}()
				part = part.Fork()
			case 1:
				part = load(t, m, form(t, part))
			}
			m.Step(t, part)
			m.Check(t, part)
		}
	})
}

func form[P Part[P]](t *rapid.T, part P) []byte {
	var b bytes.Buffer
	w := canonical.NewWriter(&b, magic)
	part.Encode(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func load[P any](t *rapid.T, m Model[P], form []byte) P {
	r, err := canonical.NewReader(form, magic)
	if err != nil {
		t.Fatal(err)
	}
	part := m.Load(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return part
}
