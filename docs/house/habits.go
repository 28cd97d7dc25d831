package house

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strconv"
)

// vague are names that say nothing of what a package is for.
var vague = []string{"base", "common", "core", "helper", "helpers", "manager", "misc", "model", "service", "shared", "types", "util", "utils"}

// Environment variables that tests read. Under requireAll a test whose part is
// missing has to fail; longTests asks for the long variants.
const (
	requireAll = "HODEI_REQUIRE_ALL"
	longTests  = "HODEI_LONG"
)

// unfinished marks work that was put off.
var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

// habits finds what review would refuse anywhere: a package without a contract
// comment or with a vague name, a sleep, a mark of unfinished work.
func habits(name string, sources []source) []Fault {
	var faults []Fault
	fault := func(format string, args ...any) {
		faults = append(faults, Fault{name, fmt.Sprintf(format, args...)})
	}
	if slices.Contains(vague, path.Base(name)) {
		fault("is called %s, which does not say what it is for", path.Base(name))
	}
	if len(sources) > 0 && !slices.ContainsFunc(sources, func(s source) bool { return s.file.Doc != nil }) {
		fault("has no package comment; say what it does, who may call it and what it promises")
	}
	for _, s := range sources {
		for _, line := range sleeps(s) {
			fault("%s:%d: sleeps; wait for what has to happen, or use testing/synctest", s.name, line)
		}
		for _, function := range skippers(s) {
			fault("%s:%d: %s skips for no stated reason; skip for testing.Short(), for %s, or for a missing part unless %s is set",
				s.name, s.line(function), function.Name.Name, longTests, requireAll)
		}
		for _, group := range s.file.Comments {
			if mark := unfinished.FindString(group.Text()); mark != "" {
				fault("%s:%d: says %s; finish it or leave it out", s.name, s.line(group), mark)
			}
		}
	}
	return faults
}

// sleeps are the lines with time.Sleep. In a test under synctest it moves the
// fake clock, which is how such tests are written.
func sleeps(s source) []int {
	if s.test && slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool {
		return i.Path.Value == strconv.Quote("testing/synctest")
	}) {
		return nil
	}
	var lines []int
	ast.Inspect(s.file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && timeFunction(selector) == "Sleep" {
			lines = append(lines, s.line(n))
		}
		return true
	})
	return lines
}

// isRapid tells a use of package rapid, whose Skip only asks for other values.
func isRapid(n *ast.SelectorExpr) bool {
	x, ok := n.X.(*ast.Ident)
	return ok && x.Name == "rapid"
}

// skippers are the functions of a test file that skip a test without looking at
// one of the reasons that count.
func skippers(s source) []*ast.FuncDecl {
	var found []*ast.FuncDecl
	for _, decl := range s.file.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		skips, reason := false, false
		ast.Inspect(function, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				skips = skips || slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, n.Sel.Name)
				reason = reason || n.Sel.Name == "Short" || isRapid(n)
			case *ast.BasicLit:
				reason = reason || n.Value == strconv.Quote(requireAll) || n.Value == strconv.Quote(longTests)
			}
			return true
		})
		if s.test && skips && !reason {
			found = append(found, function)
		}
	}
	return found
}
