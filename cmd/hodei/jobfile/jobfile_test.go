package jobfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// told writes all mistakes of a file, each with what would do and with what it
// marks in its line.
func told(t *testing.T, err error) string {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	var b strings.Builder
	for _, m := range e.Mistakes {
		marked := ""
		if line := []rune(m.Source); m.Column >= 1 && m.Column-1+m.Width <= len(line) {
			marked = string(line[m.Column-1 : m.Column-1+m.Width])
		}
		fmt.Fprintf(&b, "%d:%d: %s", m.Line, m.Column, m.Text)
		if m.Help != "" {
			fmt.Fprintf(&b, " [%s: %s]", marked, m.Help)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestMistakesAreFoundInTheirPlace(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"a size, and an unknown field", "name: test\nsteps:\n  - name: all\n    run: make test\nresources:\n  cpu: 2\n  memory: 2 gigs\nretrys: 1\n",
			"7:11: resources.memory: \"2 gigs\" is not a size [2 gigs: a number and a unit, such as 512Mi or 2Gi]\n8:1: unknown field \"retrys\", did you mean \"retries\"?\n"},
		{"a field of a step", "steps:\n  - run: make\n    timeout: soon\n", "3:14: steps[0].timeout: "},
		{"a step in the flow style", "steps: [{run: make, timeout: soon}]\n", "1:30: steps[0].timeout: "},
		{"a label", "command: make\nlabels:\n  ok: x\n  \"not ok!\": y\n", "4:3: labels"},
		{"a wrong type", "command: make\npriority: high\n", "2:11: priority: "},
		{"a list instead of an object", "command: make\nresources: [2]\n", "2:12: resources: "},
		{"a number that is too large", "command: make\npriority: 1000\n", "2:11: priority: "},
		{"neither a command nor steps", "name: x\n", "1:1: "},
		{"both of them", "command: a\nsteps:\n  - run: b\n", "1:"},
		{"a field twice", "command: a\ncommand: b\n", "2:1: "},
		{"a list", "- a\n", "1:1: "},
		{"a word", "make\n", "1:1: "},
		{"no YAML", "command: [\n", ": it is not YAML: "},
		{"a tab for a space", "resources:\n\tcpu: 2\n", ": it is not YAML: "},
		{"an anchor", "command: &x make\nname: *x\n", "2:7: anchors and aliases are not possible here"},
		{"what is not a number", "command: make\npriority: .nan\n", "2:11: "},
		{"a field whose name is a list", "? [a]\n: b\n", ": "},
		{"nesting without an end", strings.Repeat("a: {", 40) + strings.Repeat("}", 40), ": it is nested too deeply"},
		{"nothing", "", "1:1: the file is empty\n"},
		{"a remark alone", "# nothing\n", "1:1: the file is empty\n"},
		{"two documents", "command: a\n---\ncommand: b\n", "2:1: a second document begins here; a file holds one job\n"},
		{"a second document that is no YAML", "command: a\n---\n[\n", ": it is not YAML: "},
		{"a mark at the begin and the end of the one", "---\ncommand: a\n...\n", ""},
		{"UTF-16", "\xff\xfec\x00o\x00", ": the file is not UTF-8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, err := Parse("job.yaml", []byte(row.text))
			if row.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatalf("it became %s", b)
			}
			got := told(t, err)
			if strings.HasPrefix(row.want, ":") { // wherever the reader of YAML sees it
				_, got, _ = strings.Cut(got, ":")
				_, got, _ = strings.Cut(":"+got, ":")
				if !strings.Contains(":"+got, strings.TrimPrefix(row.want, ":")) {
					t.Errorf("got %q, want %q in it", got, row.want)
				}
				return
			}
			if !strings.HasPrefix(got, row.want) {
				t.Errorf("got\n%s\nwant\n%s", got, row.want)
			}
		})
	}
}

func TestAFileThatIsTooLong(t *testing.T) {
	_, err := Parse("job.yaml", []byte("command: "+strings.Repeat("x", spec.MaxSpecBytes)))
	if got, want := told(t, err), fmt.Sprintf("the file has %d bytes, a job may have %d", spec.MaxSpecBytes+9, spec.MaxSpecBytes); !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFileBecomesASpec(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"YAML", "name: x\ncommand: make test\ntty: false\npriority: 5\nenv: {A: b, N: \"1\"}\nresources: {cpu: 2, memory: 2Gi}\n",
			`{"name":"x","command":"make test","tty":false,"priority":5,"env":{"A":"b","N":"1"},"resources":{"cpu":2,"memory":"2Gi"}}`},
		{"JSON", `{"command": "make", "labels": {"a": "b"}}`, `{"command":"make","labels":{"a":"b"}}`},
		{"a text of several lines", "command: |\n  one\n  two\n", `{"command":"one\ntwo\n"}`},
		{"words that other readers take for truth", "command: make\nenv: {A: \"no\", B: \"null\"}\n", `{"command":"make","env":{"A":"no","B":"null"}}`},
		{"characters of all kinds", "command: \"a\\u00e9 <b> & \\U0001F600\"\n", "{\"command\":\"aé \\u003cb\\u003e \\u0026 😀\"}"},
		{"line ends of Windows", "name: x\r\ncommand: make\r\n", `{"name":"x","command":"make"}`},
	} {
		b, err := Parse("job.yaml", []byte(row.text))
		if err != nil || string(b) != row.want {
			t.Errorf("%s: got %s, %v, want %s", row.name, b, err, row.want)
		}
	}
}

// No file makes it panic; what it accepts is a spec, and a mistake lies within
// the file.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"command: make\nresources: {cpu: 2}\n", "steps:\n  - run: a\n    env: {A: b}\n", "? [a]\n: b\n", "a: &a [*a]\n",
		"command: a\nretrys: 1\n", "\xff\xfe", "command: \"\\x00\"\n", "--- !!binary\n", "a: !!timestamp 2001-01-01\n", "<<: {command: a}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Parse("f", data)
		var e *Error
		switch {
		case err == nil:
			if _, err := spec.Parse(b); err != nil || !json.Valid(b) {
				t.Errorf("%q became %q: %v", data, b, err)
			}
		case !errors.As(err, &e) || len(e.Mistakes) == 0:
			t.Errorf("%q: %v is no *Error", data, err)
		default:
			for _, m := range e.Mistakes {
				if m.Text == "" || m.Line < 0 || m.Column < 0 || m.Width < 1 {
					t.Errorf("%q: %+v", data, m)
				}
			}
		}
	})
}

// The line in which a secret stands is never shown, whatever in it is wrong.
func TestALineWithASecretIsNotShown(t *testing.T) {
	for _, text := range []string{
		"command: x\nsecrets: {A: canary, B: 4711}\ntimeout: 5m\n",
		"{command: x, secrets: {A: canary}, timeout: soon}\n",
		"command: x\nsecrets:\n  A: canary\n  A: canary\n",
		"command: x\nsecrets:\n  A: |\n    one\n    canary\n  B: 0x4711\n",
		"command: x\nsecrets:\n  A: .inf\n  B: [canary]\n",
		"command: x\nsecrets:\n  A: {from: canary!}\n",
		"command: x\nsecrets: canary\n",
		"command: x\nenv: {A: b}\nsecrets: {A: canary}\n",
		`{"command": "x", "secrets": {"A": "canary\u0000"}, "retries": {"backoff": "never"}}`,
		"command: x\nsecrets: {A: !!int canary}\n",
	} {
		_, err := Parse("job.yaml", []byte(text))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q is taken: %v", text, err)
			continue
		}
		for _, m := range e.Mistakes {
			if seen := fmt.Sprintf("%+v", m); strings.Contains(seen, "canary") || strings.Contains(seen, "4711") {
				t.Errorf("%q shows %s", text, seen)
			}
		}
	}
}
