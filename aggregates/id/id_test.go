package id

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/quick"
)

func TestParse(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"00000001", ""},
		{"zzzzzzzz", ""},
		{"7f3k9qd2", ""},
		{"00000000", `"00000000" is not an id: it is all zeros`},
		{"7f3k9qd", `"7f3k9qd" is not an id: an id has 8 characters`},
		{"7f3k9qd22", `"7f3k9qd22" is not an id: an id has 8 characters`},
		{"7F3K9QD2", `"7F3K9QD2" is not an id: 'F' can't be in one`},
		{"7f3k9qdi", `"7f3k9qdi" is not an id: 'i' can't be in one`},
		{"7f3k9qd\xff", `"7f3k9qd\xff" is not an id: 'ÿ' can't be in one`},
		{"", `"" is not an id: an id has 8 characters`},
	} {
		i, err := Parse(test.in)
		switch {
		case err != nil && err.Error() != test.want:
			t.Errorf("%q: %v, want %s", test.in, err, test.want)
		case err == nil && test.want != "":
			t.Errorf("%q is taken, want %s", test.in, test.want)
		case err == nil && i.String() != test.in:
			t.Errorf("%q is written as %q", test.in, i)
		}
	}
}

func TestPrefixes(t *testing.T) {
	want, _ := Parse("7f3k9qd2")
	for _, s := range []string{"7f3k9qd2", "job-7f3k9qd2"} {
		if got, err := ParseJob(s); err != nil || got != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"7f3k9qd2", "worker-7f3k9qd2"} {
		if got, err := ParseWorker(s); err != nil || got != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	if _, err := ParseJob("worker-7f3k9qd2"); err == nil {
		t.Error("a worker's id is taken for a job's")
	}
}

func TestTextKeepsOrderAndBytes(t *testing.T) {
	check := func(a, b [5]byte) bool {
		i, j := FromBytes(a), FromBytes(b)
		back, err := Parse(i.String())
		same := i == 0 || err == nil && back == i
		ordered := i == 0 || j == 0 || (i < j) == (i.String() < j.String())
		return same && ordered && string(i.Append(nil)) == i.String()
	}
	if err := quick.Check(check, nil); err != nil {
		t.Error(err)
	}
	if FromBytes([5]byte{0xff, 0xff, 0xff, 0xff, 0xff}) != 1<<40-1 {
		t.Error("bytes are lost")
	}
}

func TestJSON(t *testing.T) {
	type body struct {
		Job   ID
		None  ID
		Names map[ID]int
	}
	i, _ := Parse("7f3k9qd2")
	data, err := json.Marshal(body{Job: i, Names: map[ID]int{i: 1}})
	if err != nil || string(data) != `{"Job":"7f3k9qd2","None":"","Names":{"7f3k9qd2":1}}` {
		t.Fatalf("%s, %v", data, err)
	}
	var back body
	if err := json.Unmarshal(data, &back); err != nil || back.Job != i || back.None != 0 || back.Names[i] != 1 {
		t.Errorf("%v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"Job":"LONGNAME"}`), &back); err == nil || !strings.Contains(err.Error(), "is not an id") {
		t.Errorf("a wrong id: %v", err)
	}
}
