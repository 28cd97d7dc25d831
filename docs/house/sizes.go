package house

import (
	"fmt"
	"go/ast"
	"slices"
)

// How large things may be. Generated files are not counted, tests neither where
// packages are.
const (
	maxFileLines     = 400
	maxFunctionLines = 70 // in tests without the rows of tables
	maxFiles         = 15
	maxExported      = 40 // top-level names, a block of constants or variables counts as one
)

// manyFiles are packages with one file a command or a resource.
var manyFiles = []string{"cmd/hodei", "api"}

// manyNames are packages with one type a form of JSON.
var manyNames = []string{"api/wire"}

func sizes(path string, sources []source) []Fault {
	var faults []Fault
	fault := func(format string, args ...any) {
		faults = append(faults, Fault{path, fmt.Sprintf(format, args...)})
	}
	files, exported := 0, 0
	for _, s := range sources {
		if lines := s.set.Position(s.file.FileEnd).Line; lines > maxFileLines {
			fault("%s has %d lines, at most %d", s.name, lines, maxFileLines)
		}
		for _, decl := range s.file.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := functionLines(s, function); lines > maxFunctionLines {
				fault("%s:%d: func %s has %d lines, at most %d", s.name, s.line(function), function.Name.Name, lines, maxFunctionLines)
			}
		}
		if !s.test {
			files++
			exported += exportedNames(s.file)
		}
	}
	if files > maxFiles && !slices.Contains(manyFiles, path) {
		fault("has %d files, at most %d", files, maxFiles)
	}
	if exported > maxExported && !slices.Contains(manyNames, path) {
		fault("exports %d names, at most %d", exported, maxExported)
	}
	return faults
}

// functionLines counts a function's lines; in a test the rows of its tables are
// data and do not count.
func functionLines(s source, function *ast.FuncDecl) int {
	lines := s.length(function)
	if !s.test {
		return lines
	}
	ast.Inspect(function, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if ok {
			lines -= s.length(literal) - 1
		}
		return !ok
	})
	return lines
}

// exportedNames counts what a reader has to learn, as go doc lists it: types,
// functions, and each block of constants or variables as one.
func exportedNames(file *ast.File) int {
	count := 0
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil && decl.Name.IsExported() {
				count++
			}
		case *ast.GenDecl:
			count += exportedInBlock(decl)
		}
	}
	return count
}

func exportedInBlock(block *ast.GenDecl) int {
	types, values := 0, 0
	for _, spec := range block.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				types++
			}
		case *ast.ValueSpec:
			if slices.ContainsFunc(spec.Names, (*ast.Ident).IsExported) {
				values = 1
			}
		}
	}
	return types + values
}
