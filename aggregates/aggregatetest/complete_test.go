package aggregatetest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/namespace"
)

func TestAMatrixThatLeavesSomethingOutIsFound(t *testing.T) {
	a := Aggregate[namespace.State, namespace.Command]{Evolve: namespace.Evolve, Decide: namespace.State.Decide}
	histories := []Case[[]proto.Message]{
		Named("none", Given()),
		Named("active", Given(&eventv1.NamespaceCreated{})),
		Named("paused", Given(&eventv1.NamespaceCreated{}, &eventv1.NamespacePaused{})),
	}
	commands := []Case[namespace.Command]{
		Named[namespace.Command]("Create", namespace.Create{}),
		Named[namespace.Command]("Pause", namespace.Pause{}),
		Named[namespace.Command]("Resume", namespace.Resume{}),
	}
	for _, row := range []struct {
		name      string
		histories []Case[[]proto.Message]
		commands  []Case[namespace.Command]
		want      string
	}{
		{"nothing", histories, commands, ""},
		{"a status", histories[:2], commands, "no row has status Paused"},
		{"the status before the first event", histories[1:], commands, "no row has status None"},
		{"a command", histories, slices.Delete(slices.Clone(commands), 1, 2), "no column has command Pause"},
		{"everything", nil, nil, "no row has status None, no row has status Active, no row has status Paused, " +
			"no column has command Create, no column has command Pause, no column has command Resume"},
		{"the difference of two names", append(histories, histories[0]), append(commands, commands[2]), `there are two of "none", there are two of "Resume"`},
	} {
		missing, err := a.incomplete("../namespace", row.histories, row.commands)
		if got := strings.Join(missing, ", "); err != nil || got != row.want {
			t.Errorf("%s is left out: %s, %v", row.name, got, err)
		}
	}
	if _, err := a.incomplete("../fault", histories, commands); err == nil {
		t.Error("a package without commands counts as complete")
	}
}

func TestAListThatLeavesAStatusOutIsFound(t *testing.T) {
	code := "package p\n" +
		"type Status uint8\n" +
		"const (\n\tNone Status = iota\n\tOn\n)\n" +
		"var Statuses = []Status{None}\n" +
		"type Command interface{ decide() }\n" +
		"type Do struct{}\n" +
		"func (*Do) decide() {}\n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := read(dir)
	if err != nil || !slices.Equal(found.statuses, []string{"None", "On"}) || !slices.Equal(found.listed, []string{"None"}) || !slices.Equal(found.commands, []string{"Do"}) {
		t.Errorf("%+v, %v", found, err)
	}
	missing, _ := Aggregate[struct{}, any]{}.incomplete(dir, nil, nil)
	if want := "Statuses are [None], not [None On]"; !slices.Contains(missing, want) {
		t.Errorf("missing are %q, not %q", missing, want)
	}
}

// Whoever writes the next aggregate writes its matrix.
func TestEveryAggregateHasAMatrix(t *testing.T) {
	folders, err := filepath.Glob("../*")
	if err != nil {
		t.Fatal(err)
	}
	aggregates := 0
	for _, dir := range folders {
		if _, err := read(dir); err != nil {
			continue
		}
		aggregates++
		tests, _ := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if !slices.ContainsFunc(tests, func(path string) bool {
			code, _ := os.ReadFile(path)
			return strings.Contains(string(code), ".Matrix(t, ")
		}) {
			t.Errorf("%s has commands and no matrix", dir)
		}
	}
	if aggregates < 7 {
		t.Errorf("only %d aggregates were found", aggregates)
	}
}
