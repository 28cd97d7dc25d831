package jobfile

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestMistakesAreFoundInTheirPlace(t *testing.T) {
	for _, row := range []struct {
		name, text   string
		line, column int
		says         string
	}{
		{"a size", "name: x\ncommand: make\nresources:\n  memory: 2 gigs\n", 4, 11, `resources.memory: "2 gigs" is not a size`},
		{"an unknown field", "command: make\nretrys: 1\n", 2, 1, `unknown field "retrys", did you mean "retries"?`},
		{"a field of a step", "steps:\n  - run: make\n    timeout: soon\n", 3, 14, "steps[0].timeout: "},
		{"a field twice", "command: a\ncommand: b\n", 2, 1, "command"},
		{"no YAML", "command: [\n", 0, 0, "it is not YAML"},
		{"an alias", "a: &x 1\ncommand: *x\n", 2, 10, "anchors and aliases"},
		{"nothing", "", 1, 1, "the file is empty"},
	} {
		_, err := Parse("job.yaml", []byte(row.text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		found := false
		for _, m := range e.Mistakes {
			if strings.Contains(m.Text, row.says) && (row.line == 0 || m.Line == row.line && m.Column == row.column) {
				found = true
			}
		}
		if !found {
			t.Errorf("%s: %+v, want %d:%d %s", row.name, e.Mistakes, row.line, row.column, row.says)
		}
	}
}

func TestAFileBecomesASpec(t *testing.T) {
	b, err := Parse("job.yaml", []byte("name: x\ncommand: make test\ntty: false\npriority: 5\nenv: {A: b, N: \"1\"}\nresources: {cpu: 2, memory: 2Gi}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got["command"] != "make test" || got["tty"] != false || got["priority"] != float64(5) {
		t.Errorf("got %s", b)
	}
}

// No file makes it panic, and what it accepts is a spec.
func FuzzParse(f *testing.F) {
	f.Add([]byte("command: make\nresources: {cpu: 2}\n"))
	f.Add([]byte("steps:\n  - run: a\n    env: {A: b}\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse("f", data)
		if err == nil && !json.Valid(b) {
			t.Errorf("%q became %q", data, b)
		}
	})
}
