package mask_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
)

const (
	fuzzSecrets = 4
	fuzzSecret  = 100 // bytes
	fuzzText    = 5000
	fuzzPieces  = 8
)

// FuzzMask writes a stream that is made of forms of some secrets, whole and in
// part, wrapped, coloured and next to each other, in pieces. After each piece
// exactly what the reference says must be out.
func FuzzMask(f *testing.F) {
	for _, secret := range []string{
		"hunter2", "correct horse battery staple", "a\x00\xff\xfe\x1b[1mb", "****", "aaaa\x00aaaaa\x00aaaaaaaab",
		"ab cd\nef/gh+ij\n\n'kl\" $mn`", "{\n  \"key\": \"välue\",\n  \"no\": true\n}", "abcdef\x00cdefgh\x00efghij",
		"-----BEGIN KEY-----\r\nMIIEvQIBADANBgkqhkiG9w0BAQ\r\n7dHNQ==\r\n-----END KEY-----\n", "\u2028<&>/?%41\t\x7f\U0001f600",
	} {
		for op := range byte(9) {
			f.Add(secret, []byte{op, 3, 7, 5, 'x', 1, 9, 0, op, 40, 5, 2, 1, 0, 0, 0, 5, op, 80, 30, 1, 5, op, 120, 9, 9})
		}
	}
	f.Fuzz(func(t *testing.T, secrets string, program []byte) {
		list := strings.Split(secrets, "\x00")
		if len(list) > fuzzSecrets {
			return
		}
		for _, secret := range list {
			if len(secret) > fuzzSecret {
				return
			}
		}
		compare(t, list, compose(newReference(list...), program))
	})
}

// compare writes the pieces, and looks at what is out after each.
func compare(t *testing.T, secrets []string, pieces []string) {
	t.Helper()
	r := newReference(secrets...)
	var all [][]byte
	for _, secret := range secrets {
		all = append(all, []byte(secret))
	}
	set, _ := mask.New(all)
	var out bytes.Buffer
	w := set.Writer(&out)
	text := ""
	for _, piece := range pieces {
		w.Write([]byte(piece))
		text += piece
		if want := r.shown(text, false); out.String() != want {
			t.Fatalf("secrets %q\ntext %q\ngot  %q\nwant %q", secrets, text, out.String(), want)
		}
	}
	w.Close()
	if want := r.shown(text, true); out.String() != want {
		t.Fatalf("at the end: secrets %q\ntext %q\ngot  %q\nwant %q", secrets, text, out.String(), want)
	}
	if got := set.Text(text); got != out.String() {
		t.Fatalf("Text: secrets %q\ntext %q\ngot  %q\nwant %q", secrets, text, got, out.String())
	}
}

var (
	sequences = []string{
		"\x1b[31m", "\x1b[m", "\x1b]0;a title\x07", "\x1b]8;;http://x\x1b\\", "\x1b(B", "\x1bc", "\x1b[", "\x1b", "\x1b]", "\x1b[1;",
		"\x1b]never\n", "\x1bPq\x1b\\", "\x1b[3\x18", "\x1b\x1b[1m", "\x1b]" + strings.Repeat("x", 4093) + "\x07", "\x1b[" + strings.Repeat("1", 4095),
	}
	spaces = []string{" ", "\n", "\r\n", "\t", "  \n", "\r\r\n", "\v\f", strings.Repeat(" ", 4090), strings.Repeat("\n", 4096), strings.Repeat(" ", 4097)}
)

// compose makes a stream of a program: each step is an operation with up to
// three operands.
func compose(r *reference, program []byte) []string {
	next := func() int {
		if len(program) == 0 {
			return 0
		}
		b := program[0]
		program = program[1:]
		return int(b)
	}
	forms := append(slices.Clone(r.exact), r.loose...)
	form := func() string {
		if n := next(); len(forms) > 0 {
			return forms[(n+next()<<8)%len(forms)]
		}
		return "x"
	}
	pieces := []string{""}
	last, total := 0, 0
	add := func(s string) {
		pieces[last] += s
		total += len(s)
	}
	for len(program) > 0 && total < fuzzText {
		switch next() % 9 {
		case 0:
			add(string([]byte{byte(next())}))
		case 1:
			add(form())
		case 2: // the beginning of one
			one := form()
			add(one[:next()%len(one)])
		case 3: // the end of one
			one := form()
			add(one[next()%len(one):])
		case 4: // one that is wrapped
			one, width, space := form(), 1+next()%80, spaces[next()%7]
			for len(one) > width {
				add(one[:width] + space)
				one = one[width:]
			}
			add(one)
		case 5: // one with something within
			one, within := form(), append(sequences, spaces...)[next()%(len(sequences)+len(spaces))]
			at := next() % len(one)
			add(one[:at] + within + one[at:])
		case 6:
			add(sequences[next()%len(sequences)])
		case 7:
			add(spaces[next()%len(spaces)])
		case 8:
			if len(pieces) < fuzzPieces {
				pieces = append(pieces, "")
				last++
			}
		}
	}
	return pieces
}

func Example() {
	set, notes := mask.New([][]byte{[]byte("hunter2"), []byte("abc")})
	fmt.Println(notes[0].Secret, notes[0].Err)
	fmt.Println(set.Text("password: hun\x1b[1mter2, in base64 aHVudGVyMg=="))
	// Output:
	// 1 it has fewer than 4 bytes, white space around it left out
	// password: ***, in base64 ***
}
