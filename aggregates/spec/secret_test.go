package spec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// canary is a secret that must be seen nowhere.
const canary = "tr0ub4dor&3-canary"

func TestSecretsAreRead(t *testing.T) {
	got, err := spec.Parse([]byte(`{"command": "make", "env": {"A": "b"}, "secrets": {
		"TOKEN": "` + canary + `", "KEY": "two\nlines\n", "DB": {"from": "db-password"}, "OLD": {"from": "db.password_2", "version": 3}
	}}`))
	want := map[string]spec.Secret{
		"TOKEN": {Value: canary}, "KEY": {Value: "two\nlines\n"}, "DB": {From: "db-password"}, "OLD": {From: "db.password_2", Version: 3},
	}
	if err != nil || !reflect.DeepEqual(got.Secrets, want) {
		t.Fatalf("%v, %v", got.Secrets, err)
	}
	if own := got.OwnSecrets(); !reflect.DeepEqual(own, []string{"KEY", "TOKEN"}) {
		t.Errorf("its own are %v", own)
	}
}

// What is wrong with secrets is said at its place, and never with what was given.
func TestWrongSecretsAreToldWithoutTheirValues(t *testing.T) {
	const oneOf = `a secret is its value in quotes, or {"from": the name of a stored secret}`
	for _, test := range []struct{ secrets, want string }{
		{`"%s"`, "secrets: it is not an object; " + oneOf},
		{`["%s"]`, "secrets: it is not an object; " + oneOf},
		{`{"A": ["%s"]}`, "secrets.A: it is neither a string nor an object; " + oneOf},
		{`{"A": 4141}`, "secrets.A: it is neither a string nor an object; " + oneOf},
		{`{"A": true}`, "secrets.A: it is neither a string nor an object; " + oneOf},
		{`{"A": null}`, "secrets.A: it is neither a string nor an object; " + oneOf},
		{`{"A": ""}`, "secrets.A: it is empty"},
		{`{"A": "%s\u0000"}`, "secrets.A: it has a NUL byte, which no program can be given"},
		{`{"A": {}}`, "secrets.A.from: it is needed: the name of a stored secret"},
		{`{"A": {"from": "%s"}}`, "secrets.A.from: the name of a stored secret has letters, digits, _, - and ., a letter, digit or _ first"},
		{`{"A": {"from": ["%s"]}}`, "secrets.A.from: it is not the name of a stored secret"},
		{`{"A": {"from": ""}}`, "secrets.A.from: it is not the name of a stored secret"},
		{`{"A": {"from": "a", "version": "%s"}}`, "secrets.A.version: it is not a version: a number from 1; leave it out for the newest"},
		{`{"A": {"from": "a", "version": 0}}`, "secrets.A.version: it is not a version: a number from 1; leave it out for the newest"},
		{`{"A": {"from": "a", "version": 4141.5}}`, "secrets.A.version: it is not a version: a number from 1; leave it out for the newest"},
		{`{"A": {"from": "a", "value": "%s"}}`, "secrets.A: it has an unknown field; from and version may be; " + oneOf},
		{`{"A": {"from": "a", "%s": 1}}`, "secrets.A: it has an unknown field; from and version may be; " + oneOf},
		{`{"A": {"sealed": "%s", "key": "k", "from": "a"}}`, "secrets.A: it has an unknown field; from and version may be; " + oneOf},
		{`{"A": "%s", "A": "%s"}`, "secrets.A: it is given twice"},
		{`{"1A": "%s"}`, `secrets.1A: "1A" is not a variable's name: letters, digits and _ may be`},
		{`{"": "%s"}`, "secrets: the name of a variable has 1 to 128 characters"},
		{`{"HODEI_X": "%s"}`, "secrets.HODEI_X: HODEI_… is set by Hodei itself"},
		{`{"IN_ENV": "%s"}`, "secrets.IN_ENV: it is also in env; a variable is set by one of them"},
		{`{"IN_STEP": "%s"}`, "secrets.IN_STEP: it is also in steps[1].env; a variable is set by one of them"},
	} {
		text := fmt.Sprintf(`{"steps": [{"run": "a"}, {"run": "b", "env": {"IN_STEP": "x"}}], "env": {"IN_ENV": "x"}, "secrets": %s}`,
			strings.ReplaceAll(test.secrets, "%s", canary))
		_, err := spec.Parse([]byte(text))
		if got := fields(t, err); len(got) == 0 || got[0] != test.want {
			t.Errorf("%s\n got %q\nwant %q", test.secrets, got, test.want)
		}
		var f *fault.Error
		if errors.As(err, &f); strings.Contains(fmt.Sprintf("%+v %s", f, err), canary) || strings.Contains(err.Error(), "4141") {
			t.Errorf("%s: the value is told: %+v", test.secrets, f)
		}
	}
}

// However a spec is printed or encoded, its secrets' values don't show.
func TestAValueIsNotPrinted(t *testing.T) {
	s := spec.Spec{Command: "make", Secrets: map[string]spec.Secret{"TOKEN": {Value: canary}}}
	text := string(s.Canonical())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		text += fmt.Sprintf(verb+verb, s.Secrets["TOKEN"].Value, s)
	}
	encoded, err := json.Marshal(map[string]any{"spec": s, "value": s.Secrets["TOKEN"].Value, "secret": s.Secrets["TOKEN"]})
	if err != nil {
		t.Fatal(err)
	}
	text += string(encoded)
	for _, seen := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary[:5])} {
		if strings.Contains(text, seen) {
			t.Errorf("%q is printed: %s", seen, text)
		}
	}
}

func TestWhatIsShownOfSecrets(t *testing.T) {
	s := spec.Spec{Command: "make <in>", Secrets: map[string]spec.Secret{
		"TOKEN": {Key: "job/1", Sealed: []byte("sealed")}, "DB": {From: "db", Version: 2}, "NEW": {From: "db"},
	}}
	canonical := s.Canonical()
	back, err := spec.FromCanonical(canonical)
	if err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("it comes back as %+v, %v", back, err)
	}
	const want = `{"command":"make <in>","secrets":{"DB":{"from":"db","version":2},"NEW":{"from":"db"},"TOKEN":{"sealed":true}}}`
	if got := string(spec.Shown(canonical)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	without := spec.Spec{Command: `echo '"secrets":{'`}.Canonical()
	if got := string(spec.Shown(without)); got != string(without) {
		t.Errorf("a spec without secrets is shown as %s", got)
	}
	if got := string(spec.Shown([]byte(`{"secrets":{"A":1}}`))); got != "{}" {
		t.Errorf("what can't be read is shown as %s", got)
	}
}
