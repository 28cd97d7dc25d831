// Package house holds the code to what docs/house.md says of it: which package
// exists, what it may import, what it must never link, how large things may be,
// and what must stay pure. The pages are read, the code is listed and parsed
// once, and every breach is a Fault that names the row or the rule.
package house

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Where the tables are, relative to the module's folder.
const (
	housePage        = "docs/house.md"
	dependenciesPage = "docs/dependencies.md"
)

// Fault is one breach of the house's rules.
type Fault struct {
	Package string // relative to the module's folder
	Text    string // what is wrong, and what forbids it
}

func (f Fault) String() string { return f.Package + ": " + f.Text }

// Check holds the module in the folder dir to its pages and returns every
// breach, sorted by package. An error means that it could not be checked.
func Check(ctx context.Context, dir string) ([]Fault, error) {
	rows, err := readTable(filepath.Join(dir, housePage), parseRow)
	if err != nil {
		return nil, err
	}
	dependencies, err := readTable(filepath.Join(dir, dependenciesPage), parseDependency)
	if err != nil {
		return nil, err
	}
	// A row without a module is of another language's package.
	dependencies = slices.DeleteFunc(dependencies, func(d Dependency) bool { return d.Module == "" })
	packages, err := list(ctx, dir)
	if err != nil {
		return nil, err
	}

	faults := imports(rows, dependencies, packages)
	for _, p := range packages {
		sources, err := parse(p)
		if err != nil {
			return nil, err
		}
		row := rowOf(rows, p.Path)
		faults = append(faults, sizes(p.Path, sources)...)
		faults = append(faults, habits(p.Path, sources)...)
		faults = append(faults, purity(row, p.Path, sources)...)
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.Package, b.Package) })
	return faults, nil
}

func readTable[T any](path string, row func(cells []string, line int) T) ([]T, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the table: %w", err)
	}
	return table(string(text), row), nil
}
