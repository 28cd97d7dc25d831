package mask

import "sync"

// addedCost is what a secret counts for beside its bytes: many small ones have
// more forms than a large one.
const addedCost = 128

// Budget is what the sets of one program may take together for secrets that are
// added while jobs run. No set has more than it leaves for all others, so that one
// which adds all it can takes nobody's place. It is safe for concurrent use.
type Budget struct {
	mu   sync.Mutex
	left int // bytes
}

// NewBudget returns one of so many bytes.
func NewBudget(bytes int) *Budget { return &Budget{left: bytes} }

// New is New for a set of which Add takes from the budget, until Forget.
func (b *Budget) New(secrets [][]byte) (*Set, []Note) {
	s, notes := New(secrets)
	s.budget = b
	return s, notes
}

// take reports whether a set that has taken some may have more.
func (b *Budget) take(has, more int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if has+more > b.left-more {
		return false
	}
	b.left -= more
	return true
}

func (b *Budget) giveBack(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += bytes
}
