package house

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
)

// mustBePure are the packages whose rows have to say so.
var mustBePure = []string{"aggregates/...", "commands/placement"}

// impure are imports that give a package a clock, a lock, randomness, I/O or a
// caller's context, with what they would bring in.
var impure = []struct{ pattern, brings string }{
	{"context", "waiting"},
	{"crypto/rand", "randomness"},
	{"io/fs", "I/O"},
	{"log/...", "I/O"},
	{"math/rand/...", "randomness"},
	{"net", "I/O"},
	{"net/http/...", "I/O"},
	{"os/...", "I/O"},
	{"runtime/...", "the process"},
	{"sync/...", "a lock"},
	{"syscall", "I/O"},
	{"testing/...", "tests"},
	{"unsafe", "memory"},
}

// clocks are what of package time reads or waits for the clock.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

// purity finds what a pure package must not use. Its tests may.
func purity(row Row, path string, sources []source) []Fault {
	if !row.Pure {
		for _, pattern := range mustBePure {
			if matches(pattern, path) && !forTests(path) {
				return []Fault{{path, fmt.Sprintf("its row (%s:%d) must say `%s`", housePage, row.Line, pureWord)}}
			}
		}
		return nil
	}
	var faults []Fault
	for _, s := range sources {
		if s.test {
			continue
		}
		fault := func(n ast.Node, format string, args ...any) {
			faults = append(faults, Fault{path, fmt.Sprintf("%s:%d: %s, and its row (%s:%d) says `%s`",
				s.name, s.line(n), fmt.Sprintf(format, args...), housePage, row.Line, pureWord)})
		}
		impureImports(s, fault)
		impureStatements(s, fault)
	}
	return faults
}

type report func(n ast.Node, format string, args ...any)

func impureImports(s source, fault report) {
	for _, spec := range s.file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has accepted it
		}
		for _, i := range impure {
			if matches(i.pattern, name) {
				fault(spec, "imports %s, which brings in %s", name, i.brings)
			}
		}
	}
}

func impureStatements(s source, fault report) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			fault(n, "starts a goroutine")
		case *ast.ChanType:
			fault(n, "uses a channel")
		case *ast.SelectorExpr:
			if name := timeFunction(n); name != "" {
				fault(n, "reads the clock by time.%s", name)
			}
		}
		return true
	})
}

// timeFunction names the function of package time that is used here, if it has
// to do with the clock.
func timeFunction(n *ast.SelectorExpr) string {
	if x, ok := n.X.(*ast.Ident); !ok || x.Name != "time" {
		return ""
	}
	if !slices.Contains(clocks, n.Sel.Name) {
		return ""
	}
	return n.Sel.Name
}
