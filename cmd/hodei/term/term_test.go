package term

import (
	"bytes"
	"errors"
	"testing"
)

func TestFilter(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"text passes", "hello, wörld ✓ 日本\n", "hello, wörld ✓ 日本\n"},
		{"tabs, carriage returns and backspaces pass", "10%\r20%\b\tx\n", "10%\r20%\b\tx\n"},
		{"colours pass", "\x1b[1;31mred\x1b[0m \x1b[38:5:9mx\x1b[m", "\x1b[1;31mred\x1b[0m \x1b[38:5:9mx\x1b[m"},
		{"erase in line passes", "a\x1b[2Kb\x1b[K", "a\x1b[2Kb\x1b[K"},
		{"a title is dropped", "a\x1b]0;owned\x07b", "ab"},
		{"the clipboard is dropped", "a\x1b]52;c;ZXZpbA==\x1b\\b", "ab"},
		{"a query is dropped", "a\x1b[6nb\x1b[cb", "abb"},
		{"cursor jumps are dropped", "a\x1b[10;10Hb\x1b[2Jc\x1b[5Ad", "abcd"},
		{"private modes are dropped", "a\x1b[?1049hb\x1b[?25lc", "abc"},
		{"a private m is no colour", "a\x1b[>4;2mb", "ab"},
		{"DCS and APC strings are dropped", "a\x1bP1$r0m\x1b\\b\x1b_Gx\x1b\\c", "abc"},
		{"8-bit controls are dropped", "a\u009b31mb\xc2\x9dx", "a31mbx"},
		{"bytes that are no UTF-8 are dropped", "a\x9b\xffb\xe2\x82", "ab"},
		{"bell and null are dropped", "a\x07\x00b", "ab"},
		{"a reset is dropped", "a\x1bcb", "ab"},
		{"a character set is dropped", "a\x1b(0b", "ab"},
		{"CAN ends a string", "a\x1b]0;x\x18b", "ab"},
		{"an escape within a sequence begins a new one", "a\x1b[3\x1b[31mb", "a\x1b[31mb"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := filtered(row.in, len(row.in)); got != row.want {
				t.Errorf("in one write: got %q, want %q", got, row.want)
			}
			if got := filtered(row.in, 1); got != row.want {
				t.Errorf("byte by byte: got %q, want %q", got, row.want)
			}
		})
	}
}

// Colours that a job left on are put back; where there are none nothing is written.
func TestReset(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"nothing was written", "", ""},
		{"text without colour", "text", "text"},
		{"colours put back", "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"},
		{"colours put back in short", "\x1b[31mred\x1b[m", "\x1b[31mred\x1b[m"},
		{"a reset at the end of others", "\x1b[31mred\x1b[1;0m", "\x1b[31mred\x1b[1;0m"},
		{"colours left on", "\x1b[31mred", "\x1b[31mred\x1b[0m"},
		{"a reset that is followed by a colour", "\x1b[0;31mred", "\x1b[0;31mred\x1b[0m"},
		{"a sequence without its end", "text\x1b[31", "text"},
	} {
		var b bytes.Buffer
		f := NewFilter(&b)
		_, _ = f.Write([]byte(row.in))
		for range 2 { // the second has nothing to do
			if err := f.Reset(); err != nil || b.String() != row.want {
				t.Errorf("%s: got %q, want %q (%v)", row.name, b.String(), row.want, err)
			}
		}
	}
}

func TestAFilterTellsOfErrors(t *testing.T) {
	full := errors.New("full")
	if n, err := NewFilter(broken{full}).Write([]byte("x")); n != 0 || !errors.Is(err, full) {
		t.Errorf("got %d, %v", n, err)
	}
	if n, err := NewFilter(broken{full}).Write([]byte("\x1b]0;nothing of it passes")); n == 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }

func filtered(in string, size int) string {
	var b bytes.Buffer
	f := NewFilter(&b)
	for i := 0; i < len(in); i += size {
		_, _ = f.Write([]byte(in[i:min(i+size, len(in))]))
	}
	return b.String()
}

// What passes the filter is never more than text and the sequences it allows:
// filtering once more changes nothing.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("a\x1b]52;c;x\x07b\x1b[31mc\x9b"))
	f.Fuzz(func(t *testing.T, in []byte) {
		once := filtered(string(in), max(len(in), 1))
		if twice := filtered(once, max(len(once), 1)); twice != once {
			t.Errorf("%q became %q, then %q", in, once, twice)
		}
		if split := filtered(string(in), 1); split != once {
			t.Errorf("%q: byte by byte %q, at once %q", in, split, once)
		}
	})
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain":        "plain",
		"a\x1b[31mb":   `a\x1b[31mb`,
		"a\u202eb":     `a\u202eb`,
		"a\xffb":       `a\xffb`,
		"日本\n":         `日本\x0a`,
		"zero\u200bwd": `zero\u200bwd`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, row := range []struct {
		in    string
		width int
		want  string
	}{
		{"build-web", 9, "build-web"}, {"build-web", 6, "build…"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"x", 0, ""}, {"xy", 1, "…"}, {"e\u0301x", 2, "e\u0301x"},
	} {
		if got := Cut(row.in, row.width); got != row.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", row.in, row.width, got, row.want)
		}
	}
}
