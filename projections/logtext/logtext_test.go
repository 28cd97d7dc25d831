package logtext

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hodei-jobs/hodei/projections/joblog"
)

// memory is a log in memory.
type memory []joblog.Piece

func (m memory) end() uint64 {
	if len(m) == 0 {
		return 0
	}
	return m[len(m)-1].Offset + uint64(len(m[len(m)-1].Data))
}

func (m memory) Read(_ context.Context, _ joblog.Key, from uint64, limit int) (pieces []joblog.Piece, next uint64, err error) {
	next = from
	for _, p := range m {
		if end := p.Offset + uint64(len(p.Data)); end <= next || limit <= 0 {
			continue
		}
		skip := next - p.Offset
		n := min(uint64(limit), uint64(len(p.Data))-skip)
		p.Data, p.Offset = p.Data[skip:skip+n], next
		pieces, next, limit = append(pieces, p), next+n, limit-int(n)
	}
	return pieces, next, nil
}

func (m memory) text(tag uint8) *Text { return &Text{Source: m, Tag: tag, End: m.end()} }

// pieces cuts a text at random; each piece is a nanosecond later.
func pieces(random *rand.Rand, text string, most int) (m memory) {
	for at := 0; at < len(text); {
		n := min(len(text)-at, 1+random.IntN(most))
		m = append(m, joblog.Piece{Tag: 1 + uint8(random.IntN(5)/4), Offset: uint64(at), Time: int64(len(m) + 1), Data: []byte(text[at : at+n])})
		at += n
	}
	return m
}

// naive is a line found by looking at all of a log.
type naive struct {
	offset, end uint64
	at          int64
	text        string
}

// lines are the lines of what a stream wrote, found byte by byte.
func lines(m memory, tag uint8) (all []naive) {
	open := false
	for _, p := range m {
		for i, b := range p.Data {
			if tag != 0 && tag != p.Tag {
				continue
			}
			offset := p.Offset + uint64(i)
			if !open {
				all, open = append(all, naive{offset: offset, at: p.Time}), true
			}
			last := &all[len(all)-1]
			last.end = offset + 1
			if b == '\n' {
				open = false
				continue
			}
			last.text += string([]byte{b})
		}
	}
	return all
}

// rounds is how often a random test is repeated.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

const letters = "ab\n\n\x1b[m]\r\xc3\xa9x;1\a\\"

func randomText(random *rand.Rand, n int) string {
	var b strings.Builder
	for range random.IntN(n) {
		b.WriteByte(letters[random.IntN(len(letters))])
	}
	return b.String()
}

// after reads the text from an offset, as a stream has it.
func after(m memory, tag uint8, from uint64) string {
	var b strings.Builder
	for _, p := range m {
		for i, c := range p.Data {
			if (tag == 0 || tag == p.Tag) && p.Offset+uint64(i) >= from {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// Places by line, time and from the end are those found by looking at each byte.
func TestPlacesAreWhereTheyAre(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range rounds(3000) {
		m, tag := pieces(random, randomText(random, 200), 1+random.IntN(20)), uint8(random.IntN(3))
		text, all, ctx := m.text(tag), lines(m, tag), t.Context()
		same := func(what string, arg any, got, want uint64, err error) {
			t.Helper()
			if err != nil || after(m, tag, got) != after(m, tag, want) {
				t.Fatalf("%s %v of %v, stream %d: %d, want %d, %v", what, arg, m, tag, got, want, err)
			}
		}
		for n := range len(all) + 2 {
			want := m.end()
			if n < len(all) {
				want = all[n].offset
			}
			got, err := text.Line(ctx, uint64(n)+1)
			same("line", n+1, got, want, err)
			if want, n := uint64(0), min(n, len(all)); n == 0 {
				got, err = text.Tail(ctx, 0, 0)
				same("tail", n, got, m.end(), err)
			} else {
				want = all[len(all)-n].offset
				got, err = text.Tail(ctx, 0, uint64(n))
				same("tail", n, got, want, err)
			}
			if n < len(all) {
				if got, err := text.Number(ctx, all[n].offset); got != uint64(n)+1 || err != nil {
					t.Fatalf("the line at %d of %v has number %d, want %d, %v", all[n].offset, m, got, n+1, err)
				}
			}
		}
		for at := range int64(len(m) + 2) {
			want := m.end()
			for _, l := range all {
				if l.at >= at {
					want = l.offset
					break
				}
			}
			got, err := text.Time(ctx, at)
			same("time", at, got, want, err)
		}
	}
}

// grep is a search as it is described: each line by itself.
func grep(all []naive, s Search) (out []string, matches uint64) {
	told := map[int]bool{}
	match := map[int]bool{}
	for i := range all {
		all[i].text = visible(all[i].text, s.Strip)
		if s.Pattern.MatchString(all[i].text) {
			match[i], matches = true, matches+1
			for n := max(0, i-s.Context); n <= min(i+s.Context, len(all)-1); n++ {
				told[n] = true
			}
		}
	}
	for i, l := range all {
		if told[i] {
			out = append(out, fmt.Sprintf("%d %d-%d %d %q %v", i+1, l.offset, l.end, l.at, l.text, match[i]))
		}
	}
	return out, matches
}

func visible(text string, strip bool) string {
	if !strip {
		return text
	}
	var s Stripper
	var out []byte
	for i := range len(text) {
		out = s.Strip(out, []byte(text[i:i+1]))
	}
	return string(out)
}

// A search finds the lines that match one by one, however the log is cut.
func TestASearchFindsWhatMatches(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	patterns := []string{"ab", "^a", "a$", "é", "^$", "b+x", "(?i)AB", "a.*b", "m", `\bx`, "ba|xa"}
	for range rounds(5000) {
		m, tag := pieces(random, randomText(random, 300), 1+random.IntN(60)), uint8(random.IntN(3))
		s := Search{Pattern: regexp.MustCompile(patterns[random.IntN(len(patterns))]), Strip: random.IntN(2) == 0, Context: random.IntN(3)}
		var got []string
		count, next, err := m.text(tag).Search(t.Context(), s, Mark{0, 1}, m.end(), func(l *Line) error {
			got = append(got, fmt.Sprintf("%d %d-%d %d %q %v", l.Number, l.Offset, l.End, l.Time, l.Text, l.Match))
			return nil
		})
		all := lines(m, tag)
		want, matches := grep(all, s)
		if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") || count != matches || next.Number != uint64(len(all))+1 {
			t.Fatalf("%s, strip %v, context %d in %v, stream %d: %v\ngot %d, next %v\n%s\nwant %d\n%s",
				s.Pattern, s.Strip, s.Context, m, tag, err, count, next, strings.Join(got, "\n"), matches, strings.Join(want, "\n"))
		}
	}
}

// A search that was stopped goes on where it stopped, and finds what it would have.
func TestASearchGoesOn(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	s := Search{Pattern: regexp.MustCompile("a")}
	full := errors.New("enough")
	for range 500 {
		m := pieces(random, randomText(random, 300), 30)
		want, _ := grep(lines(m, 0), s)
		var got []string
		for at := (Mark{0, 1}); ; {
			room := 1 + random.IntN(3)
			_, next, err := m.text(0).Search(t.Context(), s, at, m.end(), func(l *Line) error {
				if room == 0 {
					return full
				}
				room--
				got = append(got, fmt.Sprintf("%d %d-%d %d %q %v", l.Number, l.Offset, l.End, l.Time, l.Text, l.Match))
				return nil
			})
			if at = next; err == nil {
				break
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("in %v\ngot\n%s\nwant\n%s", m, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A reader is a reader as the standard library has them.
func TestReaderReadsAndSeeks(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	m := pieces(random, strings.Repeat("0123456789\n", 200), 50)
	want := after(m, 0, 7)
	if err := iotest.TestReader(m.text(0).NewReader(t.Context(), 7, m.end()), []byte(want)); err != nil {
		t.Error(err)
	}
	r := m.text(0).NewReader(t.Context(), 0, m.end()+1)
	if _, err := io.ReadAll(r); !errors.Is(err, ErrMissing) || r.Err() != err {
		t.Errorf("a log that has less than was said: %v", err)
	}
}

// What is left without escape sequences is the same however the text is cut.
func TestStrip(t *testing.T) {
	for in, want := range map[string]string{
		"plain\r\n":                  "plain\r\n",
		"\x1b[31;1mred\x1b[0m!":      "red!",
		"\x1b]0;title\atext":         "text",
		"\x1b]8;;http://x\x1b\\link": "link",
		"\x1bPq#0\x1b\\after":        "after",
		"\x1b(Bx\x1b=y\x1b7z":        "xyz",
		"\x1b]0;never closed\nnext":  "\nnext",
		"\x1b[31\nnext":              "\nnext",
		"\x1b[3\x01mx":               "\x01mx",
		"\x1b\x1b[1mx":               "x",
		"end \x1b":                   "end ",
		"é\x1b[1mü€":                 "éü€",
	} {
		if got := string(new(Stripper).Strip(nil, []byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if got := visible(in, true); got != want {
			t.Errorf("%q, byte by byte: got %q, want %q", in, got, want)
		}
	}
}

// Prefixes stand once before each line, wherever pieces are cut.
func TestPrinter(t *testing.T) {
	m := memory{{Offset: 0, Time: 1.5e9, Data: []byte("a\x1b[1m")}, {Offset: 5, Time: 2e9, Data: []byte("b\n\nlast")}}
	for style, want := range map[Style]string{
		{}:                           "a\x1b[1mb\n\nlast",
		{Strip: true}:                "ab\n\nlast",
		{Numbers: true}:              "7:a\x1b[1mb\n8:\n9:last",
		{Strip: true, Times: true}:   "1970-01-01T00:00:01.500Z ab\n1970-01-01T00:00:02.000Z \n1970-01-01T00:00:02.000Z last",
		{Times: true, Numbers: true}: "7:1970-01-01T00:00:01.500Z a\x1b[1mb\n8:1970-01-01T00:00:02.000Z \n9:1970-01-01T00:00:02.000Z last",
	} {
		var b strings.Builder
		if err := m.text(0).Copy(t.Context(), NewPrinter(&b, style, 7), 0, m.end()); err != nil || b.String() != want {
			t.Errorf("%+v: %q, %v", style, b.String(), err)
		}
	}
}

// marks is an index of every second line.
type marks []naive

func (m marks) Line(_ joblog.Key, number uint64) (Mark, bool) {
	n := min(int(number)-1, len(m)-1) &^ 1
	if n < 0 {
		return Mark{}, false
	}
	return Mark{m[n].offset, uint64(n) + 1}, true
}

func (m marks) Offset(_ joblog.Key, offset uint64) (mark Mark, ok bool) {
	for n := 0; n < len(m) && m[n].offset <= offset; n += 2 {
		mark, ok = Mark{m[n].offset, uint64(n) + 1}, true
	}
	return mark, ok
}

// unread fails a read of what an index makes needless.
type unread struct {
	memory
	below uint64
}

func (u unread) Read(ctx context.Context, k joblog.Key, from uint64, limit int) ([]joblog.Piece, uint64, error) {
	if from < u.below {
		return nil, from, fmt.Errorf("read at %d", from)
	}
	return u.memory.Read(ctx, k, from, limit)
}

// With an index the same places are found without reading all before them.
func TestAnIndexSparesReading(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	m := pieces(random, strings.Repeat("some line\n", 100), 40)
	all := lines(m, 0)
	for n, l := range all {
		text := m.text(0)
		text.Source, text.Index = unread{m, all[n&^1].offset}, marks(all)
		if got, err := text.Line(t.Context(), uint64(n)+1); got != l.offset || err != nil {
			t.Errorf("line %d: %d, want %d, %v", n+1, got, l.offset, err)
		}
		if got, err := text.Number(t.Context(), l.offset); got != uint64(n)+1 || err != nil {
			t.Errorf("offset %d: line %d, want %d, %v", l.offset, got, n+1, err)
		}
	}
}
