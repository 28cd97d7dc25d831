package mask_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
)

func setOf(secrets ...string) *mask.Set {
	var all [][]byte
	for _, secret := range secrets {
		all = append(all, []byte(secret))
	}
	set, _ := mask.New(all)
	return set
}

// Streams of all kinds of forms and of what comes close to them.
func TestRandomStreams(t *testing.T) {
	streams := 300
	if testing.Short() {
		streams = 50
	}
	secrets := [][]string{
		{oneLine, key}, {"aaaa", "aaaaaaaab", "aaba"}, {"abcdef", "cdefgh", "efghij", "abcdefghijk"},
		{"****", "***a"}, {"\x1b[31m", "\x1bc\x1b]0;"}, {"a\xff\xfe\x80b", "\x00\x01\x02\x03"}, {"a b\nc d\n\ne f\tg h"},
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range streams {
		program := make([]byte, random.IntN(60))
		for i := range program {
			program[i] = byte(random.Uint32())
		}
		list := secrets[random.IntN(len(secrets))]
		compare(t, list, compose(newReference(list...), program))
	}
}

func TestOverlaps(t *testing.T) {
	for _, row := range []struct {
		name    string
		secrets []string
		text    string
		want    string
	}{
		{"one begins the other: the longer", []string{"secret", "secret-and-more"}, "secret-and-more.", "***."},
		{"one begins the other: only the shorter", []string{"secret", "secret-and-more"}, "secret-and-less.", "***-and-less."},
		{"one within the other", []string{"abcdefgh", "cdef"}, "xabcdefghx cdef", "x***x ***"},
		{"one reaches into the other", []string{"abcdef", "defghi"}, "abcdefghi abcdef defghi", "*** *** ***"},
		{"a chain", []string{"abcd", "cdef", "efgh"}, "-abcdefgh-", "-***-"},
		{"with itself", []string{"abab-abab"}, "abab-abab-abab", "***"},
		{"side by side", []string{"abcd"}, "abcdabcd", "******"},
		{"in two views", []string{"abcd", "m\x1b[1md"}, "abcm\x1b[1md abc\x1b[1md", "abc*** ***"},
		{"made of stars", []string{"****"}, "**** ******** *** ", "*** *** *** "},
		{"a line of the other", []string{"line one\nline two", "line"}, "line one\nline two, line two", "***, ***"},
		{"white space around it", []string{"\n\ttoken-1 \n"}, "is token-1 ", "is *** "},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := setOf(row.secrets...).Text(row.text); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestAMatchSkipsSoMuchAndNoMore(t *testing.T) {
	set := setOf("hunter22")
	for _, row := range []struct {
		skipped int
		masked  bool
	}{{4096, true}, {4097, false}} {
		half := row.skipped / 2
		text := "hunt\x1b]" + strings.Repeat("x", half-3) + "\x07\x1b]" + strings.Repeat("x", row.skipped-half-3) + "\x07er22"
		if got := set.Text(text); (got == "***") != row.masked {
			t.Errorf("%d bytes within: got %d bytes", row.skipped, len(got))
		}
	}
}

// What a match sees through, and what belongs to the text.
func TestControlSequences(t *testing.T) {
	for within, masked := range map[string]bool{
		"\x1b[31;1m":                        true,
		"\x1b[?25l\x1b[2K":                  true,
		"\x1b(B\x1b[m":                      true, // tput sgr0
		"\x1b#8":                            true,
		"\x1bc":                             true,
		"\x1b]0;a title\x07":                true,
		"\x1b]8;;http://example\x1b\\":      true,
		"\x1bPq#0;1\x1b\\":                  true,
		"\x1b\x1b[m":                        true,
		"\x1b]" + strings.Repeat("x", 4094): true, // without an end
		"\x1b]" + strings.Repeat("x", 4095): false,
		"\x1b]a title without an end\n":     false,
		"\x1b[\x01":                         false,
		"\x1b(\x01":                         false,
		"\x1b\xff":                          false,
		"\x9b31m":                           false, // part of a letter in UTF-8
		"[31m":                              false,
	} {
		if got := setOf("hunter2").Text("hunt" + within + "er2"); (got == "***") != masked {
			t.Errorf("%q within: got %q", within[:min(20, len(within))], got[:min(50, len(got))])
		}
	}
}

// Whatever the filter thinks of it, what is no secret comes out as it is.
func TestNoiseIsLeftAsItIs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var secrets []string
	for i := range 100 {
		secrets = append(secrets, fmt.Sprintf("%x-secret-%d", random.Uint64(), i))
	}
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	if got := setOf(secrets...).Text(string(noise)); got != string(noise) {
		t.Error("noise is changed")
	}
}

func TestWhatIsNotMasked(t *testing.T) {
	secrets := [][]byte{
		nil, []byte(" \n\t"), []byte(" abc\n"), bytes.Repeat([]byte("a"), mask.MaxSecret+1), []byte("abcd"), []byte("fine-1"),
		[]byte("ab\ncd"), []byte("fine-1"),
	}
	_, notes := mask.New(secrets)
	want := []mask.Note{
		{Secret: 0, Err: mask.ErrEmpty}, {Secret: 1, Err: mask.ErrBlank}, {Secret: 2, Err: mask.ErrShort}, {Secret: 3, Err: mask.ErrLong},
		{Secret: 4, Unused: []string{"base64"}}, {Secret: 6, Unused: []string{"one line"}},
	}
	if !reflect.DeepEqual(notes, want) {
		t.Errorf("got %v, want %v", notes, want)
	}
}

func TestASetHasSoManySecretsAndBytes(t *testing.T) {
	var many [][]byte
	for i := range mask.MaxSecrets + 1 {
		many = append(many, fmt.Appendf(nil, "secret-%d", i))
	}
	set, notes := mask.New(many)
	if len(notes) != 1 || notes[0].Err != mask.ErrFull {
		t.Errorf("got %v", notes)
	}
	if _, err := set.Add([]byte("secret-7")); err != nil {
		t.Errorf("one that is known: %v", err)
	}
	set, _ = mask.New(nil)
	for i, size := range []int{mask.MaxSecret, mask.MaxSetBytes - mask.MaxSecret} {
		if _, err := set.Add(bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := set.Add([]byte("one more")); err != mask.ErrFull {
		t.Errorf("got %v", err)
	}
}

// What begins a secret is held for as long as nothing comes, and nothing else is.
func TestOnlyABeginningIsHeldAndOnlyTheEndReleasesIt(t *testing.T) {
	set := setOf("hunter2-hunter2", "with\nlines-2")
	for _, row := range []struct{ write, out string }{
		{"password: hunt", "password: "},
		{"password: hunter2-hunter", "password: "},
		{"password: hunt ", "password: hunt "},
		{"Continue? [y/N] ", "Continue? [y/N] "},
		{"a line\n", "a line\n"},
		{"\x1b[", "\x1b["},
		{"hunt\x1b[3", ""},
		{"with\n \n", ""},
		{"with\n- ", "with\n- "},
		{"hunter2-hunter2", "***"},
		{"hunter2-hunter2h", "***"},
	} {
		var out bytes.Buffer
		w := set.Writer(&out)
		io.WriteString(w, row.write)
		if out.String() != row.out {
			t.Errorf("after %q: got %q, want %q", row.write, out.String(), row.out)
		}
		if held := w.Held(); held > len(row.write) || out.Len() == len(row.write) && held > 0 {
			t.Errorf("after %q: %d bytes held", row.write, held)
		}
		if w.Close(); out.String() != row.write && !strings.Contains(row.out, "***") {
			t.Errorf("after the end of %q: got %q", row.write, out.String())
		}
	}
}

// A secret is masked from the next byte on; also one whose beginning is held
// because it begins another. What is out stays out.
func TestASecretThatIsAddedWhileTheJobRuns(t *testing.T) {
	set := setOf("token-1")
	var out bytes.Buffer
	w := set.Writer(&out)
	for _, row := range []struct{ add, write, out string }{
		{"", "later-1 tok", "later-1 "},
		{"token-2", "en-2 later-", "*** later-"},
		{"later-1", "1 later-1 ", "1 *** "},
		{"\xff\x00\x1b[m", "\xff\x00\x1b[m ", "*** "},
	} {
		if row.add != "" {
			if _, err := set.Add([]byte(row.add)); err != nil {
				t.Fatal(err)
			}
		}
		out.Reset()
		io.WriteString(w, row.write)
		if out.String() != row.out {
			t.Errorf("after %q: got %q, want %q", row.write, out.String(), row.out)
		}
	}
	if got := setOf().Text("nothing to mask"); got != "nothing to mask" {
		t.Errorf("got %q", got)
	}
}

// Two streams, texts and additions at once.
func TestAllAtOnce(t *testing.T) {
	set := setOf("secret-0")
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			var out bytes.Buffer
			w := set.Writer(&out)
			for i := range 100 {
				if _, err := set.Add(fmt.Appendf(nil, "secret-%d-%d", n, i)); err != nil {
					t.Error(err)
				}
				fmt.Fprintf(w, "\x1b[1msecret-%d-\x1b[m%d secret-0\n", n, i)
				if got := set.Text(fmt.Sprintf("secret-%d-%d", n, i)); strings.Contains(got, "secret") {
					t.Errorf("got %q", got)
				}
			}
			w.Close()
			if bytes.Contains(out.Bytes(), []byte("secret")) {
				t.Errorf("got %q", out.Bytes())
			}
		})
	}
	group.Wait()
}

// Floods of what all but matches hold back no more than was said.
func TestFloodsHoldLittle(t *testing.T) {
	const most = 255 + 4096
	long := strings.Repeat("a", 300)
	set := setOf("aaaaaaaab", long+"b", long+"\n"+long+"c")
	for _, flood := range []string{
		"a", "aaaaaaaa", "aaaa\n", "aaaa ", "aaaa\x1b[m", "\x1b", "\x1b]", "\x1b[", "a\x1b]", "aaaa" + strings.Repeat("\n", 5000), long + "\x1b[1;",
	} {
		w := set.Writer(io.Discard)
		text := []byte(strings.Repeat(flood, 1+40000/len(flood)))
		for at, size := 0, 1; at < len(text); at, size = at+size, size%700+13 {
			w.Write(text[at:min(len(text), at+size)])
			if w.Held() > most {
				t.Fatalf("%q: %d bytes held", flood[:min(8, len(flood))], w.Held())
			}
		}
	}
}

type failing struct{ after int }

func (f *failing) Write(data []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errors.New("full")
	}
	return len(data), nil
}

func TestAnErrorBehindIsFinal(t *testing.T) {
	w := setOf("secret-0").Writer(&failing{after: 1})
	for i, fails := range []bool{false, true, true} {
		if n, err := io.WriteString(w, "text"); (err != nil) != fails || (n == 4) == fails {
			t.Errorf("write %d: %d, %v", i, n, err)
		}
	}
	if w.Close() == nil {
		t.Error("Close says nothing of it")
	}
}

func TestForget(t *testing.T) {
	set := setOf("secret-0", key)
	set.Forget()
	if got := set.Text("secret-0"); got != "secret-0" {
		t.Errorf("got %q", got)
	}
}
