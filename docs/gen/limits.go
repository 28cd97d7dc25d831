package main

import (
	"cmp"
	"context"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// bounds tells by its name a constant that limits something: the most, the
// least, a default, a budget.
var bounds = regexp.MustCompile(`^(Max|max|Min|min|Default|default)[A-Z]|(Budget|Limit|Window|Tolerance|Grace|Lifetime|Every)$`)

// duration tells by its value a constant that limits how long something takes.
var duration = regexp.MustCompile(`\btime\.(Nanosecond|Microsecond|Millisecond|Second|Minute|Hour)\b`)

const limitsIntro = `# Limits

Every named limit of the code with its value: sizes, counts, how long something may take. What has a flag or a setting
says so in its own help; the rest is fixed. Ki, Mi and Gi are powers of 1,024.

`

// limits makes the list of all constants that limit something.
func limits(_ context.Context, root string) (string, error) {
	files, err := goFiles(root)
	if err != nil {
		return "", err
	}
	found := map[string][]limit{}
	for _, file := range files {
		all, err := limitsOf(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		name := filepath.ToSlash(filepath.Dir(file))
		found[name] = append(found[name], all...)
	}

	var page strings.Builder
	page.WriteString(notice + limitsIntro)
	for _, name := range sortedKeys(found) {
		page.WriteString("## " + name + "\n\n| name | value | of what |\n|---|---|---|\n")
		for _, l := range found[name] {
			page.WriteString("| `" + l.name + "` | " + cell(l.value) + " | " + cell(l.comment) + " |\n")
		}
		page.WriteString("\n")
	}
	return strings.TrimRight(page.String(), "\n") + "\n", nil
}

func sortedKeys(found map[string][]limit) []string {
	var names []string
	for name, limits := range found {
		if len(limits) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// goFiles are the files of what is shipped, relative to root.
func goFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "docs") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && !entry.IsDir() {
			relative, err := filepath.Rel(root, path)
			files = append(files, relative)
			return err
		}
		return nil
	})
	return files, err
}

type limit struct{ name, value, comment string }

func limitsOf(path string) ([]limit, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(file) {
		return nil, err
	}
	var all []limit
	for _, decl := range file.Decls {
		constants, ok := decl.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST {
			continue
		}
		for _, spec := range constants.Specs {
			if l, ok := limitOf(set, spec.(*ast.ValueSpec), constants); ok {
				all = append(all, l)
			}
		}
	}
	return all, nil
}

func limitOf(set *token.FileSet, spec *ast.ValueSpec, group *ast.GenDecl) (limit, bool) {
	if len(spec.Names) != 1 || len(spec.Values) != 1 {
		return limit{}, false
	}
	if text, ok := spec.Values[0].(*ast.BasicLit); ok && text.Kind == token.STRING {
		return limit{}, false
	}
	var source strings.Builder
	if format.Node(&source, set, spec.Values[0]) != nil {
		return limit{}, false
	}
	name := spec.Names[0].Name
	if !bounds.MatchString(name) && !duration.MatchString(source.String()) {
		return limit{}, false
	}
	comment := cmp.Or(spec.Comment, spec.Doc)
	if comment == nil && !group.Lparen.IsValid() {
		comment = group.Doc
	}
	words := strings.Join(strings.Fields(comment.Text()), " ")
	return limit{name, readable(source.String()), strings.TrimPrefix(words, name+" is ")}, true
}

var (
	shifted = regexp.MustCompile(`(\d+) ?<< ?(10|20|30)\b`)
	timed   = regexp.MustCompile(`(?:(\d+) \* )?time\.(\w+)$`)
	prefix  = map[string]string{"10": "Ki", "20": "Mi", "30": "Gi"}
	unit    = map[string]string{
		"Nanosecond": "ns", "Microsecond": "µs", "Millisecond": "ms", "Second": "s", "Minute": "min", "Hour": "h",
	}
)

// readable writes a constant's value as people do: 4 Mi, 30 s.
func readable(value string) string {
	value = shifted.ReplaceAllStringFunc(value, func(s string) string {
		m := shifted.FindStringSubmatch(s)
		return m[1] + " " + prefix[m[2]]
	})
	return timed.ReplaceAllStringFunc(value, func(s string) string {
		m := timed.FindStringSubmatch(s)
		return cmp.Or(m[1], "1") + " " + cmp.Or(unit[m[2]], m[2])
	})
}
