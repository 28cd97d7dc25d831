package house

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Package is what is known of a package before its code is looked at. Paths of
// our own packages are relative to the module's folder, others are whole.
type Package struct {
	Path    string
	Dir     string
	Files   []string // all Go files, tests and those for other systems too
	Imports []string // what its own files import, tests left out
	Linked  []string // what a program with it is linked from
}

// list asks the go command for every package of the module in dir.
func list(ctx context.Context, dir string) ([]Package, error) {
	command := exec.CommandContext(ctx, "go", "list", "-e",
		"-json=ImportPath,Dir,Module,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Imports,Deps", "./...")
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the packages of %s: %w: %s", dir, err, stderr.String())
	}

	var packages []Package
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("cannot read the list of packages: %w", err)
		}
		packages = append(packages, p.normal())
	}
}

// listed is a package in the go command's words.
type listed struct {
	ImportPath, Dir                                              string
	Module                                                       struct{ Path string }
	GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
	Imports, Deps                                                []string
}

func (l listed) normal() Package {
	relative := func(paths []string) []string {
		var all []string
		for _, path := range paths {
			all = append(all, strings.TrimPrefix(path, l.Module.Path+"/"))
		}
		return all
	}
	return Package{
		Path:    relative([]string{l.ImportPath})[0],
		Dir:     l.Dir,
		Files:   slices.Concat(l.GoFiles, l.CgoFiles, l.IgnoredGoFiles, l.TestGoFiles, l.XTestGoFiles),
		Imports: relative(l.Imports),
		Linked:  relative(l.Deps),
	}
}

// source is one parsed file that people write; generated ones are left out.
type source struct {
	name string
	test bool
	set  *token.FileSet
	file *ast.File
}

// line is where a node begins.
func (s source) line(n ast.Node) int { return s.set.Position(n.Pos()).Line }

// length is how many lines a node has.
func (s source) length(n ast.Node) int { return s.set.Position(n.End()).Line - s.line(n) + 1 }

func parse(p Package) ([]source, error) {
	var sources []source
	for _, name := range p.Files {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("cannot parse a file of %s: %w", p.Path, err)
		}
		sources = append(sources, written(source{name, strings.HasSuffix(name, "_test.go"), set, file})...)
	}
	return sources, nil
}

// written leaves generated files out.
func written(s source) []source {
	if ast.IsGenerated(s.file) {
		return nil
	}
	return []source{s}
}
