package house

import (
	"regexp"
	"slices"
	"strings"
)

// Row says of one package what it is for and what it may use.
type Row struct {
	Package string   // relative to the module's folder, such as eventstore/wal
	For     string   // one line
	May     []string // what it may import itself: patterns of ours, names of dependencies
	Never   []string // what must not be linked into it, however far away; same form
	Pure    bool     // no clock, goroutine, channel, lock, randomness or I/O
	Line    int      // in the page
}

// Dependency gives a module of others the name that rows use for it.
type Dependency struct {
	Name   string // such as bbolt
	Module string // such as go.etcd.io/bbolt
	Line   int
}

// pureWord in the last column marks a package that the purity rules hold for.
const pureWord = "pure"

// quoted finds the tokens of a cell: whatever stands in backquotes.
var quoted = regexp.MustCompile("`([^`]+)`")

// table reads the rows of a page's tables: every line that begins with a quoted
// first cell. Other lines, headings of tables among them, are prose.
func table[T any](page string, row func(cells []string, line int) T) []T {
	var rows []T
	for i, line := range strings.Split(page, "\n") {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for len(cells) < 4 {
			cells = append(cells, "")
		}
		rows = append(rows, row(cells, i+1))
	}
	return rows
}

func parseRow(cells []string, line int) Row {
	never := tokens(cells[3])
	return Row{
		Package: first(tokens(cells[0])),
		For:     strings.TrimSpace(cells[1]),
		May:     tokens(cells[2]),
		Never:   slices.DeleteFunc(slices.Clone(never), func(t string) bool { return t == pureWord }),
		Pure:    slices.Contains(never, pureWord),
		Line:    line,
	}
}

func parseDependency(cells []string, line int) Dependency {
	return Dependency{Name: first(tokens(cells[0])), Module: first(tokens(cells[1])), Line: line}
}

func tokens(cell string) []string {
	var found []string
	for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
		found = append(found, match[1])
	}
	return found
}

func first(tokens []string) string {
	if len(tokens) == 0 {
		return ""
	}
	return tokens[0]
}

func rowOf(rows []Row, path string) Row {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Package == path })
	if i < 0 {
		return Row{Package: path}
	}
	return rows[i]
}

// matches tells whether a path is what the pattern names: itself, or for x/...
// also everything below x.
func matches(pattern, path string) bool {
	below, wild := strings.CutSuffix(pattern, "/...")
	return path == below || wild && strings.HasPrefix(path, below+"/")
}
