package table

import (
	"errors"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func example() *Table {
	t := &Table{Columns: []Column{{Name: "JOB"}, {Name: "STATE"}, {Name: "NAME", Cut: true}, {Name: "TRY", Right: true, Rank: 2}, {Name: "WHY", Rank: 1, Cut: true, Least: 20}}}
	t.Row(Text("9d2mx7ht"), Cell{State: "pending"}, Text("build-web"), Text("1"), Text("busy, place 31 of 34"))
	t.Row(Text("6wv0p3nc"), Cell{State: "failed"}, Text("evil\x1b[31m"), Text("12"), Text(""))
	t.Row(Text("2m7xk4ra"), Cell{State: "running"}, Text("日本語のジョブ"), Text("3"), Text("on atlas, since the day before yesterday"))
	return t
}

func TestTable(t *testing.T) {
	for _, row := range []struct {
		name  string
		style term.Style
		want  string
	}{
		{"in a pipe nothing is cut or coloured", term.Style{Unicode: true}, `
JOB       STATE      NAME            TRY  WHY
9d2mx7ht  ○ pending  build-web         1  busy, place 31 of 34
6wv0p3nc  ✗ failed   evil\x1b[31m     12  -
2m7xk4ra  ▶ running  日本語のジョブ    3  on atlas, since the day before yesterday
`},
		{"without UTF-8 the signs are ASCII", term.Style{}, `
JOB       STATE      NAME            TRY  WHY
9d2mx7ht  . pending  build-web         1  busy, place 31 of 34
6wv0p3nc  x failed   evil\x1b[31m     12  -
2m7xk4ra  > running  日本語のジョブ    3  on atlas, since the day before yesterday
`},
		{"colours stand around signs and words alone", term.Style{Unicode: true, Colours: true}, "\n" +
			"JOB       STATE      NAME            TRY  WHY\n" +
			"9d2mx7ht  \x1b[36m○ pending\x1b[0m  build-web         1  busy, place 31 of 34\n" +
			"6wv0p3nc  \x1b[31;1m✗ failed\x1b[0m   evil\\x1b[31m     12  -\n" +
			"2m7xk4ra  \x1b[34;1m▶ running\x1b[0m  日本語のジョブ    3  on atlas, since the day before yesterday\n"},
		{"a terminal that is too narrow has text cut, from the right", term.Style{Unicode: true, Width: 72, Terminal: true}, `
JOB       STATE      NAME            TRY  WHY
9d2mx7ht  ○ pending  build-web         1  busy, place 31 of 34
6wv0p3nc  ✗ failed   evil\x1b[31m     12  -
2m7xk4ra  ▶ running  日本語のジョブ    3  on atlas, since the day befor…
`},
		{"then the next text", term.Style{Unicode: true, Width: 60, Terminal: true}, `
JOB       STATE      NAME          TRY  WHY
9d2mx7ht  ○ pending  build-web       1  busy, place 31 of 34
6wv0p3nc  ✗ failed   evil\x1b[31m   12  -
2m7xk4ra  ▶ running  日本語のジ…     3  on atlas, since the…
`},
		{"then columns drop by rank", term.Style{Unicode: true, Width: 56, Terminal: true}, `
JOB       STATE      NAME           WHY
9d2mx7ht  ○ pending  build-web      busy, place 31 of 34
6wv0p3nc  ✗ failed   evil\x1b[31m   -
2m7xk4ra  ▶ running  日本語のジョ…  on atlas, since the…
`},
		{"ids and states stay whatever happens", term.Style{Unicode: true, Width: 10, Terminal: true}, `
JOB       STATE      NAME
9d2mx7ht  ○ pending  build-web
6wv0p3nc  ✗ failed   evil\x1b[…
2m7xk4ra  ▶ running  日本語の…
`},
	} {
		t.Run(row.name, func(t *testing.T) {
			var b strings.Builder
			if err := example().Write(&b, row.style); err != nil {
				t.Fatal(err)
			}
			if got, want := b.String(), row.want[1:]; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for line := range strings.Lines(b.String()) {
				if w := term.Width(strings.TrimSuffix(line, "\n")); row.style.Width > 40 && w > row.style.Width {
					t.Errorf("a line has %d columns: %s", w, line)
				}
			}
		})
	}
}

func TestATableThatCannotBeWritten(t *testing.T) {
	full := errors.New("the disk is full")
	if err := example().Write(broken{full}, term.Style{}); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }
