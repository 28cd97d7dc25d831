package house

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// The module in testdata/planted breaks each rule about imports and purity, and
// each habit, once. All of it is found, and nothing else.
func TestEveryPlantedViolationIsFound(t *testing.T) {
	faults, err := Check(t.Context(), "testdata/planted")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"aggregates/job: has no package comment",
		"aggregates/job: job.go:4: imports sync, which brings in a lock, and its row (docs/house.md:3) says `pure`",
		"aggregates/job: job.go:11: uses a channel",
		"aggregates/job: job.go:12: starts a goroutine",
		"aggregates/job: job.go:12: reads the clock by time.Now",
		"api: imports eventstore/storetest, which is for tests alone",
		"api: imports eventstore/wal, and its row (docs/house.md:4) allows only: aggregates/...",
		"api: imports github.com/labstack/echo/v4, which has no row in docs/dependencies.md",
		"cmd/agent: links encoding/json, and its row (docs/house.md:5) says never `encoding/json`",
		"cmd/agent: links eventstore/storetest, and its row (docs/house.md:5) says never `eventstore/...`",
		"cmd/agent: links eventstore/wal, and its row (docs/house.md:5) says never `eventstore/...`",
		"commands/placement: its row (docs/house.md:6) must say `pure`",
		"eventstore/storetest: its row (docs/house.md:7) says never `grcp`, which names nothing there is",
		"eventstore/util: is called util",
		"eventstore/util: util.go:7: sleeps",
		"eventstore/util: util.go:6: says TODO",
		"eventstore/wal: its row (docs/house.md:9) allows `api`, which it does not import",
		"grpc: has a row (docs/dependencies.md:3) but no package imports google.golang.org/grpc",
		"nowhere: has a row (docs/house.md:10) but there is no such package",
		"providers/gone: has no row in docs/house.md",
	}
	compare(t, faults, want)
}

func TestSizes(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("\n", n) }
	function := func(n int) string { return "\nfunc f() {" + lines(n-1) + "}\n" }
	tests := []struct {
		name  string
		path  string
		files map[string]string
		want  []string
	}{
		{"a file of 401 lines", "p", map[string]string{"a.go": lines(401)}, []string{"p: a.go has 401 lines, at most 400"}},
		{"a file of 400 lines", "p", map[string]string{"a.go": lines(400)}, nil},
		{"a function of 71 lines", "p", map[string]string{"a.go": function(71)}, []string{"p: a.go:2: func f has 71 lines, at most 70"}},
		{"a function of 70 lines", "p", map[string]string{"a.go": function(70)}, nil},
		{"a test whose table has 100 rows", "p", map[string]string{"a_test.go": "\nfunc f() {\nx := []int{" + lines(100) + "}\n}"}, nil},
		{"a test of 71 lines without a table", "p", map[string]string{"a_test.go": function(71)}, []string{"p: a_test.go:2: func f has 71 lines, at most 70"}},
		{"16 files", "p", numbered(16), []string{"p: has 16 files, at most 15"}},
		{"15 files", "p", numbered(15), nil},
		{"16 files of the command line", "cmd/hodei", numbered(16), nil},
		{"41 exported names", "p", map[string]string{"a.go": "\ntype (" + names(41) + ")"}, []string{"p: exports 41 names, at most 40"}},
		{"41 forms of JSON", "api/wire", map[string]string{"a.go": "\ntype (" + names(41) + ")"}, nil},
		{"39 exported types, a block of variables, a method", "p", map[string]string{"a.go": "\ntype (" + names(39) + ")\nvar (" + names(9) + ")\ntype t int\nfunc (t) Method() {}"}, nil},
		{"a generated file of 401 lines", "p", map[string]string{"a.go": generated + lines(401)}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			compare(t, sizes(test.path, parsed(t, test.files)), test.want)
		})
	}
}

func TestASleepUnderSynctestIsAllowed(t *testing.T) {
	files := map[string]string{"a_test.go": "\nimport (\n\"testing/synctest\"\n\"time\"\n)\nfunc f() { synctest.Test(nil, nil); time.Sleep(1) }"}
	sources := parsed(t, files)
	if lines := sleeps(sources[0]); len(lines) > 0 {
		t.Fatalf("sleeps in lines %v, want none", lines)
	}
}

func TestASkipNeedsAReason(t *testing.T) {
	tests := []struct {
		name, body string
		want       int
	}{
		{"because the tests are to be short", "if testing.Short() { t.Skip() }", 0},
		{"because it is long", `if os.Getenv("HODEI_LONG") == "" { t.Skip("long") }`, 0},
		{"because a part is missing, unless all is required", `if os.Getenv("HODEI_REQUIRE_ALL") == "" { t.Skipf("no %s", x) }`, 0},
		{"because a property asks for other values", "rapid.Check(t, func(t *rapid.T) { t.Skip() })", 0},
		{"because a part is missing", `t.Skipf("no %s", x)`, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sources := parsed(t, map[string]string{"a_test.go": "\nfunc f() {" + test.body + "}"})
			if got := skippers(sources[0]); len(got) != test.want {
				t.Errorf("%d functions skip without a reason, want %d", len(got), test.want)
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"eventstore", "eventstore", true},
		{"eventstore", "eventstore/wal", false},
		{"eventstore/...", "eventstore", true},
		{"eventstore/...", "eventstore/wal", true},
		{"eventstore/...", "eventstores", false},
	}
	for _, test := range tests {
		if got := matches(test.pattern, test.path); got != test.want {
			t.Errorf("matches(%q, %q) = %v", test.pattern, test.path, got)
		}
	}
}

// generated stands before a package clause.
const generated = "// Code generated by hand. DO NOT EDIT.\n\npackage p"

func numbered(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files["f"+strings.Repeat("x", i)+".go"] = ""
	}
	return files
}

func names(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("\nV" + strings.Repeat("x", i) + " int")
	}
	return b.String() + "\n"
}

// parsed reads files whose text follows a line with the package clause.
func parsed(t *testing.T, files map[string]string) []source {
	t.Helper()
	var sources []source
	for name, text := range files {
		if !strings.HasPrefix(text, generated) {
			text = "package p" + text
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, written(source{name, strings.HasSuffix(name, "_test.go"), set, file})...)
	}
	return sources
}

// compare wants each fault to begin with the wanted text, in order.
func compare(t *testing.T, got []Fault, want []string) {
	t.Helper()
	var texts []string
	for _, f := range got {
		texts = append(texts, f.String())
	}
	if !slices.EqualFunc(texts, want, strings.HasPrefix) {
		t.Errorf("found:\n%s\nwant:\n%s", strings.Join(texts, "\n"), strings.Join(want, "\n"))
	}
}
