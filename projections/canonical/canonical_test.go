package canonical_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/projections/canonical"
)

func written(t *testing.T, write func(*canonical.Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	w := canonical.NewWriter(&b, "test 1\n")
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	long := strings.Repeat("long ", 100_000) // more than is gathered before it is written
	form := written(t, func(w *canonical.Writer) {
		w.Uint(0)
		w.Uint(math.MaxUint64)
		w.Int(math.MinInt64)
		w.Bool(true)
		w.Text("")
		w.Text(long)
		w.Uint(3)
	})
	r, err := canonical.NewReader(form, "test 1\n")
	if err != nil {
		t.Fatal(err)
	}
	if a, b, c, d, e, f := r.Uint(), r.Uint(), r.Int(), r.Bool(), r.Text(), r.Text(); a != 0 ||
		b != math.MaxUint64 || c != math.MinInt64 || !d || e != "" || f != long {
		t.Errorf("read %d %d %d %v %q and %d bytes", a, b, c, d, e, len(f))
	}
	if r.Uint() != 3 || r.Close() != nil {
		t.Errorf("at the end: %v", r.Err())
	}
}

func TestAFormIsFixed(t *testing.T) {
	form := written(t, func(w *canonical.Writer) { w.Uint(300); w.Int(-1); w.Text("é") })
	if want := "test 1\n\xac\x02\x01\x02\xc3\xa9\x87\xbe\x65\x18"; string(form) != want {
		t.Errorf("the form is %q, want %q", form, want)
	}
}

func TestUnsoundFormsAreRefused(t *testing.T) {
	form := written(t, func(w *canonical.Writer) { w.Uint(5); w.Uint(6) })
	if _, err := canonical.NewReader(form, "test 2\n"); err == nil {
		t.Error("another version was read")
	}
	for i := range form {
		if _, err := canonical.NewReader(form[:i], "test 1\n"); err == nil {
			t.Errorf("a form cut to %d bytes was read", i)
		}
	}
	for _, row := range []struct {
		name string
		read func(*canonical.Reader)
	}{
		{"less was read than is there", func(r *canonical.Reader) { r.Uint() }},
		{"more was read than is there", func(r *canonical.Reader) { r.Uint(); r.Uint(); r.Uint() }},
		{"a count says more rows than there are bytes", func(r *canonical.Reader) { r.Count() }},
		{"a text is longer than what is left", func(r *canonical.Reader) { _ = r.Text() }},
	} {
		r, err := canonical.NewReader(form, "test 1\n")
		if err != nil {
			t.Fatal(err)
		}
		if row.read(r); r.Close() == nil {
			t.Errorf("%s, and nothing was said", row.name)
		}
		if r.Uint() != 0 || r.Text() != "" || r.Count() != 0 {
			t.Errorf("%s, and more was read after", row.name)
		}
	}
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestTheFirstErrorOfTheWriterStays(t *testing.T) {
	w := canonical.NewWriter(full{}, "test 1\n")
	for range 1_000_000 {
		w.Uint(1)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("Close returned %v", err)
	}
}
