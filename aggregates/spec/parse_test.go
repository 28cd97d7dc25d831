package spec_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

func TestParseTakesEveryField(t *testing.T) {
	no := false
	got, err := spec.Parse([]byte(`{
		"name": "build web", "namespace": "web", "pool": "big",
		"steps": [
			{"name": "install", "run": "npm ci", "env": {"CI": true}, "timeout": "5m"},
			{"run": "npm test", "continue_on_error": true}
		],
		"shell": "bash -euo pipefail", "tty": false,
		"env": {"PORT": 8080, "RATIO": 1.50, "EMPTY": ""},
		"labels": {"team": "web"}, "requires": {"gpu": true, "arch": "amd64"},
		"resources": {"cpu": 2, "memory": "512Mi", "disk": "1Gi"},
		"priority": -3, "timeout": "1h30m",
		"retries": {"max": 2, "on": ["lost", "exit"], "backoff": "10s"},
		"cancel": {"signal": "INT", "grace": "30s"},
		"exclusive": true, "log_limit": "1Gi"
	}`))
	if err != nil {
		t.Fatal(err)
	}
	want := spec.Spec{
		Name: "build web", Namespace: "web", Pool: "big",
		Steps: []spec.Step{
			{Name: "install", Run: "npm ci", Env: map[string]string{"CI": "true"}, Timeout: 5 * spec.Minute},
			{Run: "npm test", ContinueOnError: true},
		},
		Shell: "bash -euo pipefail", TTY: &no,
		Env:    map[string]string{"PORT": "8080", "RATIO": "1.50", "EMPTY": ""},
		Labels: resource.Labels{{Key: "team", Value: "web"}}, Requires: resource.Labels{{Key: "arch", Value: "amd64"}, {Key: "gpu", Value: "true"}},
		Resources: resource.Amount{CPU: 2000, Memory: 512 << 20, Disk: 1 << 30},
		Priority:  -3, Timeout: 90 * spec.Minute,
		Retries:   spec.Retries{Max: 2, On: []string{"lost", "exit"}, Backoff: 10 * spec.Second},
		Cancel:    spec.Cancel{Signal: "INT", Grace: 30 * spec.Second},
		Exclusive: true, LogLimit: 1 << 30,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseTakesNullAsLeftOut(t *testing.T) {
	got, err := spec.Parse([]byte(`{"command": "make", "env": null, "resources": {"cpu": null}, "tty": null, "steps": null}`))
	if err != nil || !reflect.DeepEqual(got, spec.Spec{Command: "make"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Each row is a spec and everything that is wrong with it.
func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     []string
	}{
		{"an empty text", ``, []string{"it is not JSON: line 1, column 1: it ends too early"}},
		{"a text that ends too early", "{\n \"command\": ", []string{"it is not JSON: line 2, column 13: it ends too early"}},
		{"a comma too many", "{\"command\": \"x\",\n}", []string{"it is not JSON: line 2, column 1: invalid character '}' looking for beginning of object key string"}},
		{"something after its end", `{"command": "x"} {}`, []string{"it is not JSON: line 1, column 18: invalid character '{' after top-level value"}},
		{"bytes that are no text", "{\"command\": \"\xff\"}", []string{"it is not UTF-8"}},
		{"a list", `[]`, []string{"a list is not an object"}},
		{"a string", `"make"`, []string{`"make" is not an object`}},
		{"null", `null`, []string{"null is not an object"}},
		{"nothing to do", `{}`, []string{"one of command, steps and argv is needed"}},
		{"two things to do", `{"command": "x", "argv": ["x"]}`, []string{"command: it is given beside argv, only one may be", "argv: it is given beside command, only one may be"}},
		{"three things to do", `{"command": "x", "argv": ["x"], "steps": [{"run": "x"}]}`, []string{"command: it is given beside steps and argv, only one may be", "steps: it is given beside command and argv, only one may be", "argv: it is given beside command and steps, only one may be"}},
		{"a blank command", `{"command": " \n"}`, []string{"command: it is blank"}},
		{"a typing error", `{"comand": "x"}`, []string{`comand: unknown field "comand", did you mean "command"?`}},
		{"a word of another system", `{"command": "x", "environment": {}, "memory": "1Gi", "max_retries": 1}`, []string{
			`environment: unknown field "environment", did you mean "env"?`,
			`memory: unknown field "memory", did you mean "resources.memory"?`,
			`max_retries: unknown field "max_retries", did you mean "retries.max"?`}},
		{"two letters that changed places", `{"steps": [{"run": "x", "nmae": "y"}, {"rnu": "x"}]}`, []string{
			`steps[0].nmae: unknown field "nmae", did you mean "name"?`, `steps[1].rnu: unknown field "rnu", did you mean "run"?`, "steps[1].run: it is needed"}},
		{"a typing error below", `{"command": "x", "resources": {"memroy": "1Gi"}}`, []string{`resources.memroy: unknown field "memroy", did you mean "memory"?`}},
		{"a field that only its other case has", `{"command": "x", "Name": "y"}`, []string{`Name: unknown field "Name", did you mean "name"?`}},
		{"a field with a strange name", `{"command": "x", "a b\u001b": 1}`, []string{`["a b\x1b"]: unknown field "a b\x1b"`}},
		{"a field given twice", `{"command": "x", "command": "y"}`, []string{"command: it is given twice"}},
		{"a field given twice below", `{"steps": [{"run": "x", "env": {"A": "1", "A": "2"}}]}`, []string{"steps[0].env.A: it is given twice"}},
		{"wrong types everywhere", `{"command": 5, "steps": {}, "argv": "x", "tty": "no", "env": [], "labels": "x", "resources": 3, "priority": "high", "timeout": 30, "retries": 2, "exclusive": 1}`, []string{
			"command: 5 is not a string",
			"steps: an object is not a list",
			`argv: "x" is not a list`,
			`tty: "no" is not a boolean`,
			"env: a list is not an object",
			`labels: "x" is not an object`,
			"resources: 3 is not an object",
			`priority: "high" is not a number`,
			"timeout: 30 is not a string; whole numbers with units, such as 30s, 5m or 1h30m",
			"retries: 2 is not an object",
			"exclusive: 1 is not a boolean"}},
		{"a list among variables", `{"command": "x", "env": {"A": ["b"]}}`, []string{"env.A: a list is not a string"}},
		{"an item of the wrong type", `{"argv": ["x", 5, null]}`, []string{"argv[1]: 5 is not a string", "argv[2]: null is not a string"}},
		{"a step of the wrong type", `{"steps": ["x"]}`, []string{`steps[0]: "x" is not an object`, "steps[0].run: it is needed"}},
		{"a size without a unit", `{"command": "x", "resources": {"memory": "2 gigs", "disk": 5}}`, []string{
			`resources.memory: "2 gigs" is not a size; a number and a unit, such as 512Mi or 2Gi`,
			"resources.disk: 5 is not a string; a number and a unit, such as 512Mi or 2Gi"}},
		{"negative sizes", `{"command": "x", "resources": {"cpu": -1, "memory": "-1Gi"}}`, []string{
			`resources.cpu: "-1" is not a number of CPUs; such as 2 or 500m`,
			`resources.memory: "-1Gi" is not a size; a number and a unit, such as 512Mi or 2Gi`}},
		{"more CPU than there can be", `{"command": "x", "resources": {"cpu": 1000001}}`, []string{`resources.cpu: "1000001" is more than 1000000 CPUs; such as 2 or 500m`}},
		{"a wrong time in a step", `{"steps": [{"run": "a"}, {"run": "b", "timeout": "5 min"}]}`, []string{
			`steps[1].timeout: "5 min" is not a duration; whole numbers with units, such as 30s, 5m or 1h30m`}},
		{"times that are too long", `{"command": "x", "timeout": "31d", "cancel": {"grace": "2h"}, "retries": {"backoff": "25h"}}`, []string{
			"timeout: 31d is too long: at most 30d may be",
			"retries.backoff: 1d1h is too long: at most 1d may be",
			"cancel.grace: 2h is too long: at most 1h may be"}},
		{"too little of a log", `{"command": "x", "log_limit": "1Ki"}`, []string{"log_limit: 1Ki is too little: at least 4Ki must be"}},
		{"too much of a log", `{"command": "x", "log_limit": "1Ti"}`, []string{"log_limit: 1Ti is too much: at most 64Gi may be"}},
		{"a broken word", `{"command": tru}`, []string{"it is not JSON: line 1, column 16: invalid character '}' in literal true (expecting 'e')"}},
		{"a line break in a string", "{\"command\": \"a\nb\"}", []string{"it is not JSON: line 1, column 15: invalid character '\\n' in string literal"}},
		{"a missing colon", `{"command" "a"}`, []string{`it is not JSON: line 1, column 12: invalid character '"' after object key`}},
		{"no grace at all", `{"command": "x", "cancel": {"grace": "0s"}}`, []string{"cancel.grace: it can't be 0; to end a job at once set cancel.signal to KILL"}},
		{"a priority beyond its range", `{"command": "x", "priority": 101}`, []string{"priority: 101 is not a priority: -100 to 100 may be"}},
		{"a priority that is no whole number", `{"command": "x", "priority": 1.5}`, []string{"priority: 1.5 is not a whole number that can stand here"}},
		{"a priority that no number holds", `{"command": "x", "priority": 9999999999}`, []string{"priority: 9999999999 is not a whole number that can stand here"}},
		{"fewer retries than none", `{"command": "x", "retries": {"max": -1}}`, []string{"retries.max: -1 is not a whole number that can stand here"}},
		{"too many retries", `{"command": "x", "retries": {"max": 101}}`, []string{"retries.max: 101 is too many: at most 100 may be"}},
		{"causes to retry on", `{"command": "x", "retries": {"on": ["exit", "exit", "oom", "time_out"]}}`, []string{
			"retries.on[1]: exit is given twice",
			`retries.on[2]: "oom" is not a cause: cannot_start, disk_full, exit, log_lost, lost, out_of_memory, secret_unavailable, signal, stopped_by_worker, timed_out may be`,
			`retries.on[3]: "time_out" is not a cause, did you mean "timed_out"?`}},
		{"signals", `{"command": "x", "cancel": {"signal": "SIGTERM"}}`, []string{`cancel.signal: "SIGTERM" is not a signal, did you mean "TERM"?`}},
		{"a signal that would not end it", `{"command": "x", "cancel": {"signal": "CONT"}}`, []string{`cancel.signal: "CONT" is not a signal, did you mean "INT"?`}},
		{"a NUL byte", `{"command": "a\u0000b", "env": {"A": "\u0000"}}`, []string{
			"command: it has a NUL byte, which no program can be given", "env.A: it has a NUL byte, which no program can be given"}},
		{"a program without a name", `{"argv": [""]}`, []string{"argv[0]: it is empty: it names the program"}},
		{"variables that are not the user's", `{"command": "x", "env": {"LD_PRELOAD": "x", "HODEI_TOKEN": "x", "1A": "x", "A-B": "x", "": "x"}}`, []string{
			"env: the name of a variable has 1 to 128 characters",
			`env.1A: "1A" is not a variable's name: letters, digits and _ may be`,
			`env.A-B: "A-B" is not a variable's name: letters, digits and _ may be`,
			"env.HODEI_TOKEN: HODEI_… is set by Hodei itself",
			"env.LD_PRELOAD: LD_… may not be set: it changes what the agent's own programs load"}},
		{"variables of a step that are not the user's", `{"steps": [{"run": "x", "env": {"LD_PRELOAD": "x"}}]}`, []string{
			"steps[0].env.LD_PRELOAD: LD_… may not be set: it changes what the agent's own programs load"}},
		{"names", `{"command": "x", "name": "a\u001b[31m", "namespace": "Web", "pool": "-a"}`, []string{
			`name: "a\x1b[31m" is not printable`,
			`namespace: "Web": a-z, 0-9 and - may be, a letter or digit first and last`,
			`pool: "-a": a-z, 0-9 and - may be, a letter or digit first and last`}},
		{"a name with blanks around it", `{"command": "x", "name": " a"}`, []string{`name: " a" begins or ends with a blank`}},
		{"a blank shell", `{"command": "x", "shell": " "}`, []string{"shell: it is blank"}},
		{"labels", `{"command": "x", "labels": {"a b": "c"}, "requires": {"gpu": "a\nb"}}`, []string{
			`labels["a b"]: "a b" is not a label's key: ' ' can't be in one`,
			`requires.gpu: the value of gpu is not printable: "a\nb"`}},
		{"a step with nothing to run", `{"steps": [{"name": "x"}]}`, []string{"steps[0].run: it is needed"}},
		{"too deep a text", `{"env": ` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`, []string{"it is nested deeper than 16 levels"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := spec.Parse([]byte(test.in))
			got := fields(t, err)
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(test.want, "\n  "))
			}
		})
	}
}

// fields returns what the error says is wrong; it must be of kind Invalid.
func fields(t *testing.T, err error) []string {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid {
		t.Fatalf("it is not refused as invalid: %v", err)
	}
	var lines []string
	for _, w := range f.Fields {
		if w.Help != "" && !strings.HasSuffix(w.Message, "; "+w.Help) {
			t.Errorf("%s does not end with its help %q", w, w.Help)
		}
		lines = append(lines, w.String())
	}
	return lines
}

func TestParseShowsTheWrongValue(t *testing.T) {
	_, err := spec.Parse([]byte(`{"command": "x", "resources": {"memory": "2 gigs"}}`))
	var f *fault.Error
	if !errors.As(err, &f) || f.Fields[0].Value != "2 gigs" || f.Fields[0].Short() != `"2 gigs" is not a size` {
		t.Errorf("%+v", f)
	}
}
