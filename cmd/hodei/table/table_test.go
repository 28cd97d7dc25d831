package table

import (
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

func example() *Table {
	t := &Table{Columns: []Column{{Name: "JOB"}, {Name: "STATE"}, {Name: "NAME", Cut: true}, {Name: "TRY", Right: true, Rank: 2}, {Name: "WHY", Rank: 1, Cut: true}}}
	t.Row(Text("9d2mx7ht"), Cell{State: "pending"}, Text("build-web"), Text("1"), Text("busy, place 31 of 34"))
	t.Row(Text("6wv0p3nc"), Cell{State: "failed"}, Text("evil\x1b[31m"), Text("12"), Text(""))
	return t
}

func TestTable(t *testing.T) {
	for _, row := range []struct {
		name  string
		style term.Style
		want  string
	}{
		{"in a pipe nothing is cut or coloured", term.Style{Unicode: true}, `
JOB       STATE      NAME          TRY  WHY
9d2mx7ht  ○ pending  build-web       1  busy, place 31 of 34
6wv0p3nc  ✗ failed   evil\x1b[31m   12  -
`},
		{"without UTF-8 the signs are ASCII", term.Style{}, `
JOB       STATE      NAME          TRY  WHY
9d2mx7ht  . pending  build-web       1  busy, place 31 of 34
6wv0p3nc  x failed   evil\x1b[31m   12  -
`},
		{"a narrow terminal cuts text, then drops columns by rank", term.Style{Unicode: true, Width: 46, Terminal: true}, `
JOB       STATE      NAME          WHY
9d2mx7ht  ○ pending  build-web     busy, plac…
6wv0p3nc  ✗ failed   evil\x1b[31m  -
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
		})
	}
}
