package spec_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

func TestDefaults(t *testing.T) {
	for _, test := range []struct {
		name string
		in   spec.Spec
		want string // its name
	}{
		{"a command", spec.Spec{Command: "make test"}, "make"},
		{"a command with a path", spec.Spec{Command: "  CC=gcc /usr/bin/make test"}, "make"},
		{"a program", spec.Spec{Argv: []string{"./etl.sh", "-v"}}, "etl.sh"},
		{"a first step", spec.Spec{Steps: []spec.Step{{Run: "npm ci"}, {Run: "npm test"}}}, "npm"},
		{"what names nothing", spec.Spec{Command: "( true )"}, "job"},
		{"only a variable", spec.Spec{Command: "A=b"}, "job"},
		{"a name that is given", spec.Spec{Name: "x", Command: "make"}, "x"},
		{"a name that would harm a terminal", spec.Spec{Command: "a\x1bb"}, "ab"},
		{"a long word", spec.Spec{Command: strings.Repeat("a", 500)}, strings.Repeat("a", 40)},
		{"a long word whose kept part has no letter or digit of ASCII", spec.Spec{Command: strings.Repeat("ü", 500) + "a"}, "job"},
	} {
		got := test.in.WithDefaults()
		if got.Name != test.want {
			t.Errorf("%s: it is called %q, want %q", test.name, got.Name, test.want)
		}
		if got.Namespace != "default" || got.Cancel != (spec.Cancel{Signal: "TERM", Grace: 10 * spec.Second}) || got.Resources.CPU != 100 {
			t.Errorf("%s: %+v", test.name, got)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if again := got.WithDefaults(); !reflect.DeepEqual(again, got) {
			t.Errorf("%s: defaults change what has them: %+v", test.name, again)
		}
	}
}

func TestDefaultsLeaveTheSpecAsItIs(t *testing.T) {
	s := spec.Spec{Steps: []spec.Step{{Run: "a"}}, Retries: spec.Retries{On: []string{"lost", "exit"}}}
	filled := s.WithDefaults()
	if s.Steps[0].Name != "" || s.Retries.On[0] != "lost" {
		t.Error("it was changed")
	}
	if filled.Steps[0].Name != "a" || filled.Retries.On[0] != "exit" {
		t.Errorf("%+v", filled)
	}
}

func TestExecSteps(t *testing.T) {
	env := map[string]string{"A": "b"}
	for _, test := range []struct {
		name string
		in   spec.Spec
		want []spec.Exec
	}{
		{"a command", spec.Spec{Name: "n", Command: "make"}, []spec.Exec{{Name: "n", Argv: []string{"/bin/sh", "-c", "make"}}}},
		{"a program", spec.Spec{Name: "n", Argv: []string{"a", "b"}}, []spec.Exec{{Name: "n", Argv: []string{"a", "b"}}}},
		{"steps with a shell of their own",
			spec.Spec{Shell: "bash -eu", Steps: []spec.Step{{Name: "one", Run: "a", Env: env, Timeout: 5, ContinueOnError: true}, {Name: "two", Run: "b"}}},
			[]spec.Exec{
				{Name: "one", Argv: []string{"bash", "-eu", "-c", "a"}, Env: env, Timeout: 5, ContinueOnError: true},
				{Name: "two", Argv: []string{"bash", "-eu", "-c", "b"}}}},
	} {
		if got := test.in.ExecSteps(); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
	if no := false; !(spec.Spec{}).WantsTTY() || (spec.Spec{TTY: &no}).WantsTTY() {
		t.Error("a terminal is not what is asked for")
	}
}

func TestCanonical(t *testing.T) {
	s := spec.Spec{
		Command: "a && b > c", Env: map[string]string{"B": "<", "A": "é"}, Timeout: spec.Hour,
		Requires: resource.Labels{{Key: "arch", Value: "amd64"}}, Resources: resource.Amount{CPU: 1500, Memory: 1 << 30},
	}
	const want = `{"command":"a && b > c","env":{"A":"é","B":"<"},"requires":{"arch":"amd64"},"resources":{"cpu":"1500m","memory":"1Gi"},"timeout":"1h"}`
	if got := string(s.Canonical()); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	back, err := spec.FromCanonical([]byte(want))
	if err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%+v, %v", back, err)
	}
	newer, err := spec.FromCanonical([]byte(`{"command":"x","colour":"red","priority":1000}`))
	if err != nil || newer.Command != "x" || newer.Priority != 1000 {
		t.Errorf("what another version accepted is not read: %+v, %v", newer, err)
	}
	if _, err := spec.FromCanonical([]byte(`{`)); err == nil {
		t.Error("what is no JSON is read")
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]string{
		"30s": "30s", "90s": "1m30s", "1h30m": "1h30m", "24h": "1d", "1500ms": "1s500ms", "0": "0s", "0s": "0s", "7d": "7d",
		"1us": "1us", "999ns": "999ns", "5m": "5m",
	} {
		got, err := spec.ParseDuration(in)
		if err != nil || got.String() != want {
			t.Errorf("%q is %s, %v; want %s", in, got, err, want)
		}
		if back, err := spec.ParseDuration(got.String()); err != nil || back != got {
			t.Errorf("%s is read back as %s, %v", got, back, err)
		}
	}
	for _, in := range []string{"", "5", "5 min", "-5m", "1.5h", "5m1h", "5m5m", "m", "5mm", "5x", "1h ", "99999999999d", "36501d", "18446744073709551616s"} {
		if got, err := spec.ParseDuration(in); err == nil {
			t.Errorf("%q is taken as %s", in, got)
		}
	}
	if (spec.Duration(-1)).String() != "0s" {
		t.Error("a negative duration is written")
	}
}

func TestValidNamespace(t *testing.T) {
	for name, ok := range map[string]bool{"web": true, "a-b-9": true, "9": true, "": false, "-a": false, "a-": false, "A": false, "a.b": false, "*": false} {
		if err := spec.ValidNamespace(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What Parse takes is valid, and its canonical form means the same and is its own.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"command":"make"}`, `{"steps":[{"run":"a","env":{"A":1},"timeout":"5m"}]}`, `{"argv":["a","b"],"tty":false}`,
		`{"command":"x","resources":{"cpu":"500m","memory":"2Gi"},"priority":-5,"retries":{"max":1,"on":["lost"]}}`,
		`{"command":"x","command":"y"}`, `[[[[`, `{"env":{"A":"\ud800"}}`, "{\"command\":\"\\u0000\"}", `{"labels":{"a":1e9}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := spec.Parse(data)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%v is not of kind invalid", err)
			}
			return
		}
		for _, s := range []spec.Spec{s, s.WithDefaults()} {
			canonical := s.Canonical()
			if err := s.Validate(); err != nil {
				t.Fatalf("%s is taken and not valid: %v", canonical, err)
			}
			again, err := spec.Parse(canonical)
			if err != nil || string(again.Canonical()) != string(canonical) {
				t.Fatalf("%s is read again as %s, %v", canonical, again.Canonical(), err)
			}
			stored, err := spec.FromCanonical(canonical)
			if err != nil || !reflect.DeepEqual(stored, again) {
				t.Fatalf("%s is read from the log as %+v, %v", canonical, stored, err)
			}
			if len(s.ExecSteps()) == 0 {
				t.Fatalf("%s has nothing to execute", canonical)
			}
		}
	})
}

func TestCausesAndSignalsAreSorted(t *testing.T) {
	if !slices.IsSorted(spec.Causes) || !slices.IsSorted(spec.Signals) {
		t.Error("they are not")
	}
}
