package aggregatetest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/aggregates/fault"
)

var update = flag.Bool("update", false, "write the golden files anew instead of comparing with them")

// Golden compares a text with a file below testdata, or writes it there with
// -update.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	wantLines, gotLines := strings.Split(Read(t, name), "\n"), strings.Split(got, "\n")
	for i := range max(len(wantLines), len(gotLines)) {
		w, g := line(wantLines, i), line(gotLines, i)
		if w != g {
			t.Errorf("%s:%d is\n  %s\nnot as golden\n  %s", path, i+1, g, w)
		}
	}
}

// Read returns a file below testdata.
func Read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatalf("%v; write it with -update", err)
	}
	return string(data)
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(no line)"
}

// Case is a history, or a command, with its name.
type Case[T any] struct {
	Name string
	Is   T
}

// Named returns a case.
func Named[T any](name string, is T) Case[T] { return Case[T]{name, is} }

// Matrix writes what each command yields after each history as a table in
// Markdown, and checks the laws on each field. In a field stand the types of the
// events, "-" for nothing, or in italics the kind of the refusal. It fails if the
// code of the package under test has a status that no history leads to, or a
// command that is left out.
func (a Aggregate[S, C]) Matrix(t *testing.T, histories []Case[[]proto.Message], commands []Case[C]) string {
	t.Helper()
	missing, err := a.incomplete(".", histories, commands)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range missing {
		t.Error(m)
	}
	var b strings.Builder
	b.WriteString("| after |")
	for _, c := range commands {
		fmt.Fprintf(&b, " %s |", c.Name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(commands)) + "\n")
	for _, h := range histories {
		state := a.Fold(h.Is...)
		fmt.Fprintf(&b, "| %s |", h.Name)
		for _, c := range commands {
			got, err := a.Decide(state, c.Is)
			fmt.Fprintf(&b, " %s |", cell(got, err))
			a.Laws(t, state, c.Is)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func cell(events []proto.Message, err error) string {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return "*" + f.Kind.String() + "*"
	case err != nil:
		return "**" + err.Error() + "**"
	case len(events) == 0:
		return "-"
	}
	var types []string
	for _, m := range events {
		types = append(types, event.TypeOf(m))
	}
	return strings.Join(types, ", ")
}
