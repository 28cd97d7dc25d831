package mask_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
)

// A set that adds all it can leaves as much as it has to the others, and gives it
// all back at its end. What a set was made with costs nothing.
func TestABudgetLeavesRoomForOthers(t *testing.T) {
	const all = 3000
	budget := mask.NewBudget(all)
	fill := func(set *mask.Set) (added int) {
		for i := range all {
			switch _, err := set.Add(fmt.Appendf(nil, "secret-%03d-of-100-bytes-%075d", i, i)); {
			case errors.Is(err, mask.ErrNoRoom):
				return added
			case err != nil:
				t.Fatal(err)
			}
			added++
		}
		return added
	}
	greedy, _ := budget.New([][]byte{bytes.Repeat([]byte("x"), all)})
	if n := fill(greedy); n != 6 { // of 228 bytes each, so that 1368 of 3000 are taken
		t.Errorf("the first adds %d", n)
	}
	if _, err := greedy.Add(fmt.Appendf(nil, "secret-%03d-of-100-bytes-%075d", 0, 0)); err != nil {
		t.Errorf("one that is known: %v", err)
	}
	other, _ := budget.New(nil)
	if n := fill(other); n != 3 {
		t.Errorf("the second adds %d", n)
	}
	greedy.Forget()
	if n := fill(other); n != 6 {
		t.Errorf("then it has %d", n)
	}
	other.Forget()
	other, _ = budget.New(nil)
	if n := fill(other); n != 6 {
		t.Errorf("one alone adds %d", n)
	}
}
