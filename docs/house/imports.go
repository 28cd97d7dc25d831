package house

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// imports holds packages to their rows: each has one, each row has a package,
// each import is allowed by the row, each allowance is used, nothing forbidden is
// linked, packages made for tests are imported by tests alone, and each
// dependency has a row and a use.
func imports(rows []Row, dependencies []Dependency, packages []Package) []Fault {
	faults := pairs(rows, packages)
	for _, p := range packages {
		i := slices.IndexFunc(rows, func(r Row) bool { return r.Package == p.Path })
		if i < 0 {
			continue // already a fault
		}
		for _, path := range p.Imports {
			if text := refuse(rows[i], dependencies, packages, path); text != "" {
				faults = append(faults, Fault{p.Path, text})
			}
		}
		for _, token := range rows[i].May {
			if !slices.ContainsFunc(p.Imports, func(path string) bool { return named([]string{token}, dependencies, path) != "" }) {
				faults = append(faults, Fault{p.Path, fmt.Sprintf("its row (%s:%d) allows `%s`, which it does not import; take it out", housePage, rows[i].Line, token)})
			}
		}
		for _, path := range p.Linked {
			if token := named(rows[i].Never, dependencies, path); token != "" {
				faults = append(faults, Fault{p.Path, fmt.Sprintf("links %s, and its row (%s:%d) says never `%s`; find the way with: go mod why, go list -deps",
					path, housePage, rows[i].Line, token)})
			}
		}
	}
	faults = append(faults, unused(dependencies, packages)...)
	return append(faults, meaningless(rows, dependencies, packages)...)
}

// pairs finds packages without a row and rows without a package.
func pairs(rows []Row, packages []Package) []Fault {
	var faults []Fault
	for _, p := range packages {
		if !slices.ContainsFunc(rows, func(r Row) bool { return r.Package == p.Path }) {
			faults = append(faults, Fault{p.Path, fmt.Sprintf("has no row in %s; add one: what it is for, what it may import, what it must never link", housePage)})
		}
	}
	for _, r := range rows {
		if !slices.ContainsFunc(packages, func(p Package) bool { return p.Path == r.Package }) {
			faults = append(faults, Fault{r.Package, fmt.Sprintf("has a row (%s:%d) but there is no such package", housePage, r.Line)})
		}
		if r.For == "" {
			faults = append(faults, Fault{r.Package, fmt.Sprintf("its row (%s:%d) does not say what it is for", housePage, r.Line)})
		}
	}
	return faults
}

// refuse says why a package with this row must not import path, or nothing.
func refuse(row Row, dependencies []Dependency, packages []Package, path string) string {
	ours := slices.ContainsFunc(packages, func(p Package) bool { return p.Path == path })
	switch {
	case !ours && standard(path):
		return ""
	case !ours && dependencyOf(dependencies, path) == "":
		return fmt.Sprintf("imports %s, which has no row in %s; add one: its name, its module, what for, who keeps it alive", path, dependenciesPage)
	case ours && forTests(path) && !forTests(row.Package):
		return fmt.Sprintf("imports %s, which is for tests alone", path)
	case named(row.May, dependencies, path) != "":
		return ""
	}
	return fmt.Sprintf("imports %s, and its row (%s:%d) allows only: %s",
		path, housePage, row.Line, strings.Join(append(slices.Clone(row.May), "the standard library"), ", "))
}

// named returns the token that names path: a pattern of ours or a dependency.
func named(tokens []string, dependencies []Dependency, path string) string {
	dependency := dependencyOf(dependencies, path)
	for _, token := range tokens {
		if token == dependency || matches(token, path) {
			return token
		}
	}
	return ""
}

// dependencyOf is the name of the dependency with the longest module that path
// belongs to, or nothing.
func dependencyOf(dependencies []Dependency, path string) string {
	var best Dependency
	for _, d := range dependencies {
		if matches(d.Module+"/...", path) && len(d.Module) > len(best.Module) {
			best = d
		}
	}
	return best.Name
}

// unused finds dependencies that no package imports, tests left out.
func unused(dependencies []Dependency, packages []Package) []Fault {
	var faults []Fault
	for _, d := range dependencies {
		used := slices.ContainsFunc(packages, func(p Package) bool {
			return slices.ContainsFunc(p.Imports, func(path string) bool { return dependencyOf(dependencies, path) == d.Name })
		})
		if !used {
			faults = append(faults, Fault{d.Name, fmt.Sprintf("has a row (%s:%d) but no package imports %s", dependenciesPage, d.Line, d.Module)})
		}
	}
	return faults
}

// meaningless finds words of the last column that name nothing there is, and so
// would forbid nothing.
func meaningless(rows []Row, dependencies []Dependency, packages []Package) []Fault {
	var faults []Fault
	for _, r := range rows {
		for _, token := range r.Never {
			known := slices.ContainsFunc(packages, func(p Package) bool {
				return matches(token, p.Path) || slices.ContainsFunc(p.Linked, func(path string) bool {
					return named([]string{token}, dependencies, path) != ""
				})
			})
			if !known {
				faults = append(faults, Fault{r.Package, fmt.Sprintf("its row (%s:%d) says never `%s`, which names nothing there is", housePage, r.Line, token)})
			}
		}
	}
	return faults
}

// standard tells packages of the standard library: their first element has no dot.
func standard(path string) bool {
	host, _, _ := strings.Cut(path, "/")
	return !strings.Contains(host, ".")
}

// forTests tells packages that exist for tests by their name, such as storetest.
func forTests(name string) bool { return strings.HasSuffix(path.Base(name), "test") }
