package sample

import "testing"

// What a namespace counted before it was a job's own, or while it was not, is not
// the job's.
func TestTrafficIsCountedFromWhenItIsTheJobsOwn(t *testing.T) {
	var m traffic
	for i, row := range []struct {
		namespace      string
		in, out        uint64
		known          bool
		received, sent uint64
		lapsed         bool
	}{
		{"", 0, 0, false, 0, 0, false},
		{"a", 1000, 100, false, 0, 0, false}, // others' before
		{"a", 1500, 110, true, 500, 10, false},
		{"a", 1500, 110, true, 500, 10, false},
		{"", 0, 0, false, 500, 10, true},
		{"a", 9000, 900, false, 500, 10, true}, // others' meanwhile
		{"a", 9001, 902, true, 501, 12, true},
		{"b", 7, 7, false, 501, 12, true},
		{"b", 8, 9, true, 502, 14, true},
	} {
		known := m.see(row.namespace, row.in, row.out)
		if known != row.known || m.received != row.received || m.sent != row.sent || m.lapsed != row.lapsed {
			t.Errorf("step %d: known %t, %+v; want %+v", i, known, m, row)
		}
	}
}
