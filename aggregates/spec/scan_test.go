package spec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// plain is a tree as encoding/json would have read it.
func plain(v value) any {
	switch v.sort {
	case boolean:
		return v.text == "true"
	case number:
		return json.Number(v.text)
	case str:
		return v.text
	case list:
		out := []any{}
		for _, item := range v.items {
			out = append(out, plain(item))
		}
		return out
	case object:
		out := map[string]any{}
		for _, m := range v.members {
			out[m.key] = plain(m.value)
		}
		return out
	}
	return nil
}

// The tree is what encoding/json reads, whatever the text.
func FuzzTree(f *testing.F) {
	var many strings.Builder
	for i := range 2 * manyMembers {
		many.WriteString(`,"` + string(rune('A'+i)) + `":` + strings.Repeat(" ", i) + "1")
	}
	for _, seed := range []string{
		`{}`, `[]`, ` [ ] `, `null`, `true`, `-1.5e+3`, `""`, `"a\"b\\"`, `"\u00e9\n\ud83d\ude00\ud800"`, "{\r\n\t\"a\" : [ 1 , {\"b\":null} ] }\n",
		`{"a":1,"a":2}`, `{"é":"\/"}`, `{"a":0` + many.String() + `,"B":2}`, strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d decoder
		v, ok := d.tree(data)
		if !ok || len(d.fields) > 0 {
			if len(d.fields) == 0 {
				t.Fatal("it is refused and nothing is wrong")
			}
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("it is read, though it is no JSON: %v", err)
		}
		if got := plain(v); !reflect.DeepEqual(got, want) {
			t.Fatalf("it is read as %#v, it is %#v", got, want)
		}
	})
}

func TestAKeyGivenTwiceAmongMany(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"first":1`)
	for i := range 3 * manyMembers {
		text.WriteString(`,"k` + strings.Repeat("x", i) + `":1`)
	}
	text.WriteString(`,"first":2}`)
	var d decoder
	if v, ok := d.tree([]byte(text.String())); !ok || len(v.members) != 3*manyMembers+1 || len(d.fields) != 1 || d.fields[0].Location != "first" {
		t.Errorf("%d members, wrong is %v", len(v.members), d.fields)
	}
}
