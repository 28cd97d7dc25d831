// Package table lays rows out for people: an upper-case header, two spaces
// between columns, numbers to the right. On a terminal that is too narrow,
// columns drop by rank and text is cut; elsewhere nothing is.
package table

import (
	"io"
	"slices"
	"strings"

	"github.com/hodei-jobs/hodei/cmd/hodei/term"
)

// Column describes a column.
type Column struct {
	Name  string
	Key   string // by which it is chosen; "" is its name in lower case
	Right bool   // numbers
	Rank  int    // 0 is never dropped; of the others the highest goes first
	Cut   bool   // may be cut with …
	Least int    // width to which it may be cut, in columns; 0 is leastCut
}

// Cell is a cell: what is written, and in which colour.
type Cell struct {
	Text   string
	Colour term.Colour
	State  string // a state's sign and word, instead of Text
}

// Table gathers rows.
type Table struct {
	Columns []Column
	chosen  []int // of the cells of a row, those that are shown; nil is all
	rows    [][]Cell
}

// New returns a table of those columns whose names are chosen, in that order, or of
// all if none is. What was chosen is not dropped. A name that is none is left out.
func New(columns []Column, chosen []string) *Table {
	if len(chosen) == 0 {
		return &Table{Columns: columns}
	}
	t := &Table{chosen: []int{}}
	names := Names(columns)
	for _, name := range chosen {
		if i := slices.Index(names, strings.ToLower(name)); i >= 0 {
			c := columns[i]
			c.Rank = 0
			t.Columns, t.chosen = append(t.Columns, c), append(t.chosen, i)
		}
	}
	return t
}

// Names returns the names by which columns are chosen.
func Names(columns []Column) (names []string) {
	for _, c := range columns {
		name := c.Key
		if name == "" {
			name = strings.ToLower(c.Name)
		}
		names = append(names, name)
	}
	return names
}

// Row adds a row, a cell for each column there is, chosen or not; foreign text is
// made harmless.
func (t *Table) Row(cells ...Cell) {
	if t.chosen != nil {
		all := cells
		cells = make([]Cell, 0, len(t.chosen))
		for _, i := range t.chosen {
			cells = append(cells, all[i])
		}
	}
	for i := range cells {
		cells[i].Text = term.Escape(cells[i].Text)
		if cells[i].Text == "" && cells[i].State == "" {
			cells[i].Text = "-"
		}
	}
	t.rows = append(t.rows, cells)
}

// Text returns a cell of text.
func Text(s string) Cell { return Cell{Text: s} }

// Write writes the table in style s.
func (t *Table) Write(w io.Writer, s term.Style) error {
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		widths[i] = term.Width(c.Name)
		for _, r := range t.rows {
			widths[i] = max(widths[i], term.Width(plain(r[i], s)))
		}
	}
	shown := t.fit(widths, s.Width)
	var b strings.Builder
	header := make([]Cell, len(t.Columns))
	for i, c := range t.Columns {
		header[i] = Cell{Text: c.Name}
	}
	for _, r := range append([][]Cell{header}, t.rows...) {
		t.line(&b, r, shown, widths, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func plain(c Cell, s term.Style) string {
	if c.State != "" {
		return s.Glyph(c.State) + " " + c.State
	}
	return c.Text
}

// leastCut is the width below which text is not cut, in columns, unless a column
// names its own.
const leastCut = 10

// fit returns the columns that are shown and cuts widths so that they fit into
// width columns; 0 is no limit. Columns go by rank until the rest would fit cut
// to its least, then text is cut, from the right.
func (t *Table) fit(widths []int, width int) []int {
	shown, least, total := make([]int, 0, len(t.Columns)), -2, -2
	for i := range t.Columns {
		shown = append(shown, i)
		least += t.least(i, widths) + 2
		total += widths[i] + 2
	}
	if width == 0 {
		return shown
	}
	for least > width {
		drop, rank := -1, 1
		for at, i := range shown {
			if r := t.Columns[i].Rank; r >= rank {
				drop, rank = at, r
			}
		}
		if drop < 0 {
			break
		}
		least -= t.least(shown[drop], widths) + 2
		total -= widths[shown[drop]] + 2
		shown = append(shown[:drop], shown[drop+1:]...)
	}
	for at := len(shown) - 1; at >= 0 && total > width; at-- {
		i := shown[at]
		by := min(total-width, widths[i]-t.least(i, widths))
		widths[i] -= by
		total -= by
	}
	return shown
}

func (t *Table) least(i int, widths []int) int {
	c := &t.Columns[i]
	switch {
	case !c.Cut:
		return widths[i]
	case c.Least > 0:
		return min(widths[i], c.Least)
	}
	return min(widths[i], leastCut)
}

func (t *Table) line(b *strings.Builder, r []Cell, shown, widths []int, s term.Style) {
	for at, i := range shown {
		text := plain(r[i], s)
		if t.Columns[i].Cut {
			text = term.Cut(text, widths[i])
		}
		pad := strings.Repeat(" ", max(widths[i]-term.Width(text), 0))
		if at > 0 {
			b.WriteString("  ")
		}
		if t.Columns[i].Right {
			b.WriteString(pad)
		}
		if r[i].State != "" {
			b.WriteString(s.Of(r[i].State, text))
		} else {
			b.WriteString(s.Paint(r[i].Colour, text))
		}
		if !t.Columns[i].Right && at < len(shown)-1 {
			b.WriteString(pad)
		}
	}
	b.WriteByte('\n')
}
