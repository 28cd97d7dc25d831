package spec

import (
	"errors"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/fault"
)

// ranOnce is a job as it was submitted, defaults and all.
func ranOnce(t *testing.T, text string) Spec {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s = s.WithDefaults()
	for _, name := range s.OwnSecrets() {
		s.Secrets[name] = Secret{Key: "job/7f3k9qd2", Sealed: []byte("sealed " + name)}
	}
	stored, err := FromCanonical(s.Canonical())
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestChangesOfASpec(t *testing.T) {
	const old = `{"name":"train","namespace":"ml","command":"make","shell":"/bin/bash","env":{"A":"1","B":"2"},"resources":{"memory":"2Gi","cpu":"2"},` +
		`"requires":{"gpu":"a100"},"retries":{"max":2,"on":["lost"]},"timeout":"30m","secrets":{"OWN":"value","DB":{"from":"db"}}}`
	for _, row := range []struct{ name, changes, want string }{
		{"nothing", `{}`, `"env":{"A":"1","B":"2"},"secrets":{"DB":{"from":"db"},"OWN":{"key":"job/7f3k9qd2","sealed":"c2VhbGVkIE9XTg=="}}`},
		{"a field of an object", `{"resources":{"memory":"12Gi"}}`, `"resources":{"cpu":"2","memory":"12Gi"}`},
		{"a label it requires", `{"requires":{"gpu":"a10"}}`, `"requires":{"gpu":"a10"}`},
		{"a list, whole", `{"retries":{"on":["exit"]}}`, `"retries":{"max":2,"on":["exit"]}`},
		{"null takes away", `{"timeout":null,"requires":{"gpu":null}}`, `"resources":{"cpu":"2","memory":"2Gi"},"retries"`},
		{"an object where none was", `{"labels":{"team":"web"}}`, `"labels":{"team":"web"}`},
		{"another command, its own secret given again", `{"argv":["ls"],"secrets":{"OWN":{"from":"own"}}}`, `"argv":["ls"],"env":{"A":"1","B":"2"},"secrets":{"DB":{"from":"db"},"OWN":{"from":"own"}}`},
		{"another variable, its own secret left out", `{"env":{"B":"3"},"secrets":{"OWN":null}}`, `"env":{"A":"1","B":"3"},"secrets":{"DB":{"from":"db"}}`},
		{"all secrets left out", `{"secrets":null}`, `"env":{"A":"1","B":"2"},"labels"`},
	} {
		got, err := ranOnce(t, old).Change([]byte(row.changes))
		want := row.want
		if row.name == "all secrets left out" {
			want = strings.TrimSuffix(want, `,"labels"`)
			if err == nil && got.Secrets != nil {
				t.Errorf("%s: there are %v", row.name, got.Secrets)
			}
		}
		if text := string(got.Canonical()); err != nil || !strings.Contains(text, want) {
			t.Errorf("%s: %v\n%s\nlacks\n%s", row.name, err, text, want)
		}
	}
}

// The values of its own secrets don't go along to what could show them, and what is
// wrong with changes is told by its place in them.
func TestChangesThatAreRefused(t *testing.T) {
	const own = `{"command":"make","env":{"A":"1"},"secrets":{"OWN":"value","TWO":"value"}}`
	for changes, where := range map[string]string{
		`{"command":"env"}`:                      "secrets.OWN secrets.TWO",
		`{"argv":["env"]}`:                       "secrets.OWN secrets.TWO",
		`{"steps":[{"run":"env"}]}`:              "secrets.OWN secrets.TWO",
		`{"shell":"/bin/evil"}`:                  "secrets.OWN secrets.TWO",
		`{"env":{"PATH":"/tmp"}}`:                "secrets.OWN secrets.TWO",
		`{"env":null}`:                           "secrets.OWN secrets.TWO",
		`{"secrets":{"TWO":"mine"}}`:             "secrets.OWN",
		`{"secrets":{"LD_PRELOAD":"/tmp/x.so"}}`: "secrets.OWN secrets.TWO",
		`{"namespace":"web"}`:                    "namespace",
		`{"resources":{"memory":"2 gigs"}}`:      "resources.memory",
		`{"nmae":"x"}`:                           "nmae",
		`{"name":"a","name":"b"}`:                "name",
		`[]`:                                     "",
		`{`:                                      "",
	} {
		_, err := ranOnce(t, own).Change([]byte(changes))
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid {
			t.Errorf("%s: %v", changes, err)
			continue
		}
		var places []string
		for _, field := range f.Fields {
			places = append(places, field.Location)
		}
		if got := strings.Join(places, " "); got != where {
			t.Errorf("%s is wrong at %q, want %q: %v", changes, got, where, err)
		}
	}
}

// What is merged into is not changed by it.
func TestASpecIsNotChangedByItsChanges(t *testing.T) {
	s := ranOnce(t, `{"command":"make","env":{"A":"1"},"secrets":{"DB":{"from":"db"}}}`)
	before := string(s.Canonical())
	if _, err := s.Change([]byte(`{"argv":["ls"],"env":{"A":"2"},"secrets":{"DB":null}}`)); err != nil || string(s.Canonical()) != before {
		t.Errorf("%v: it was\n%s\nand is\n%s", err, before, s.Canonical())
	}
}
