package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// YAML is the JSON of the API in another form: nothing is added, lost or taken for
// something else, and it stays in its order.
func TestYAML(t *testing.T) {
	for _, row := range []struct{ name, json, yaml string }{
		{"order and nesting", `{"z":1,"a":{"w":[1,{"b":true}],"x":null}}`, "z: 1\na:\n  w:\n    - 1\n    - b: true\n  x: null\n"},
		{"nothing", `{"a":[],"b":{}}`, "a: []\nb: {}\n"},
		{"text that looks like something else", `{"a":"1","b":"true","c":"null","d":"","e":"- x","f":"2026-03-09","g":"no"}`, ""},
		{"large numbers", `{"a":18446744073709551615,"b":1.5e300,"c":-0}`, "a: 18446744073709551615\nb: 1.5e300\nc: -0\n"},
		{"text of several lines, and hostile text", `{"a":"one\ntwo\n","b":"\u001b[2J\u0085\u202e","c":"\ud83d\ude00 <&>"}`, ""},
		{"names that look like something else", `{"1":"a","true":"b","":"c"}`, ""},
		{"a value alone", `"x"`, "x\n"},
	} {
		got, err := toYAML([]byte(row.json))
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		if row.yaml != "" && string(got) != row.yaml {
			t.Errorf("%s: got\n%swant\n%s", row.name, got, row.yaml)
		}
		if strings.ContainsRune(string(got), 0x1b) {
			t.Errorf("%s: an escape is written as it is: %q", row.name, got)
		}
		var there, want any
		if err := yaml.Unmarshal(got, &there); err != nil {
			t.Fatalf("%s: it can't be read back: %v\n%s", row.name, err, got)
		}
		if err := json.Unmarshal([]byte(row.json), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(alike(there), alike(want)) {
			t.Errorf("%s: read back it is %#v, want %#v\n%s", row.name, there, want, got)
		}
	}
	for _, broken := range []string{"", "{", `{"a"`, "[1", "1 2"} {
		if got, err := toYAML([]byte(broken)); err == nil {
			t.Errorf("%q is no JSON, and became %q", broken, got)
		}
	}
}

// alike makes numbers of all kinds alike.
func alike(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = alike(v[k])
		}
	case []any:
		for i := range v {
			v[i] = alike(v[i])
		}
	case int, int64, uint64, float64:
		var f float64
		_, _ = fmt.Sscan(fmt.Sprint(v), &f)
		return f
	}
	return v
}

// With -o yaml each command that has JSON has the same as YAML.
func TestYAMLIsTheBodyOfTheAPI(t *testing.T) {
	isolate(t)
	for _, command := range []string{"job list", "job get e1v9z3kc", "job events 6wv0p3nc", "job wait 6wv0p3nc", "worker list", "worker get atlas",
		"queue", "secret list", "events", "version", "logs 6wv0p3nc", "logs 6wv0p3nc --grep Killed"} {
		var inJSON, inYAML strings.Builder
		one := (&app{stdout: &inJSON, stderr: io.Discard}).run(t.Context(), append(strings.Fields(command), "-o", "json"))
		two := (&app{stdout: &inYAML, stderr: io.Discard}).run(t.Context(), append(strings.Fields(command), "-o", "yaml"))
		if one != two || inJSON.Len() == 0 {
			t.Errorf("%s: codes %d and %d, JSON %q", command, one, two, inJSON.String())
		}
		values, documents := json.NewDecoder(strings.NewReader(inJSON.String())), yaml.NewDecoder(strings.NewReader(inYAML.String()))
		for n := 0; ; n++ {
			var want, got any
			jerr, yerr := values.Decode(&want), documents.Decode(&got)
			if jerr == io.EOF && yerr == io.EOF && n > 0 {
				break
			}
			if jerr != nil || yerr != nil || !reflect.DeepEqual(alike(got), alike(want)) {
				t.Errorf("%s: value %d is %v, %v\nwant %v, %v", command, n, got, yerr, want, jerr)
				break
			}
		}
	}
}
