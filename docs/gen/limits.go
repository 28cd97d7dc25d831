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
	"strconv"
	"strings"
)

// bounds tells by its name a constant that limits something: the most, the
// least, a default, a budget.
var bounds = regexp.MustCompile(`^(Max|max|Min|min|Default|default)[A-Z]|(Budget|Limit|Window|Tolerance|Grace|Lifetime|Every)$`)

// duration tells by its value a constant that limits how long something takes.
var duration = regexp.MustCompile(`\btime\.(Nanosecond|Microsecond|Millisecond|Second|Minute|Hour)\b`)

const limitsIntro = `# Limits

What is limited, to what, how you change it, and what you see when a limit is reached. At first those that you may meet
when you use it; [at the end](#every-limit-of-the-code) every limit of the code, for those who change it. Ki, Mi and Gi
are powers of 1,024; so are KiB, MiB and GiB.

`

const everyLimitIntro = `## Every limit of the code

By package. None of these has a flag unless it stands above, too.

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

	values := map[string]string{}
	for name, limits := range found {
		for _, l := range limits {
			values[name+"."+l.name] = l.value
		}
	}
	met, err := limitsMet(values)
	if err != nil {
		return "", err
	}
	var page strings.Builder
	page.WriteString(notice + limitsIntro + met + everyLimitIntro)
	for _, name := range sortedKeys(found) {
		page.WriteString("### " + name + "\n\n| name | value | of what |\n|---|---|---|\n")
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
	words := strings.TrimPrefix(strings.TrimPrefix(strings.Join(strings.Fields(comment.Text()), " "), name+" "), "is ")
	return limit{name, readable(source.String()), cmp.Or(words, strings.ToLower(inName.ReplaceAllString(name, "$1 $2")))}, true
}

// inName is where a word of a name ends; a limit without a comment is told of by its
// name.
var inName = regexp.MustCompile(`([a-z])([A-Z])`)

var (
	shifted = regexp.MustCompile(`(\d+) ?<< ?(10|20|30)\b`)
	power   = regexp.MustCompile(`^1 ?<< ?(\d+)$`)
	timed   = regexp.MustCompile(`(?:(\d+) ?\* ?)?(?:time\.)?(Nanosecond|Microsecond|Millisecond|Second|Minute|Hour|Day)\)?$`)
	days    = regexp.MustCompile(`(\d+) \* 24 h`)
	years   = regexp.MustCompile(`(\d+) \* 365 days`)
	prefix  = map[string]string{"10": "Ki", "20": "Mi", "30": "Gi"}
	unit    = map[string]string{
		"Nanosecond": "ns", "Microsecond": "µs", "Millisecond": "ms", "Second": "s", "Minute": "min", "Hour": "h", "Day": "days",
	}
)

// readable writes a constant's value as people do: 4 Mi, 30 s, 7 days, 200,000.
func readable(value string) string {
	if n, err := strconv.ParseUint(value, 0, 63); err == nil {
		return thousands(strconv.FormatUint(n, 10))
	}
	value = shifted.ReplaceAllStringFunc(value, func(s string) string {
		m := shifted.FindStringSubmatch(s)
		return m[1] + " " + prefix[m[2]]
	})
	if m := power.FindStringSubmatch(value); m != nil {
		if bits, err := strconv.Atoi(m[1]); err == nil && bits < 63 {
			return thousands(strconv.FormatUint(1<<bits, 10))
		}
	}
	value = strings.TrimPrefix(value, "Duration(")
	value = timed.ReplaceAllStringFunc(value, func(s string) string {
		m := timed.FindStringSubmatch(s)
		return cmp.Or(m[1], "1") + " " + unit[m[2]]
	})
	value = years.ReplaceAllString(days.ReplaceAllString(value, "$1 days"), "$1 years")
	return strings.Replace(strings.TrimPrefix(value, " "), "1 days", "1 day", 1)
}
