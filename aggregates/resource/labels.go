package resource

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
)

// Limits of labels.
const (
	MaxLabels     = 64 // of one job or worker
	MaxLabelKey   = 63 // bytes
	MaxLabelValue = 63 // bytes
)

// Label is one property, such as gpu=a100.
type Label struct{ Key, Value string }

// Labels are sorted by key, each key once. In JSON they are an object. They must
// not be changed once they are shared.
type Labels []Label

// FromMap returns the map's pairs as labels; nil if there are none.
func FromMap(m map[string]string) Labels {
	if len(m) == 0 {
		return nil
	}
	l := make(Labels, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		l = append(l, Label{k, m[k]})
	}
	return l
}

// FromPairs returns the pairs of an event as labels: sorted, and of a key that
// occurs twice the last.
func FromPairs(pairs []*eventv1.Pair) Labels {
	if len(pairs) == 0 {
		return nil
	}
	l := make(Labels, 0, len(pairs))
	for _, p := range pairs {
		l = append(l, Label{p.GetKey(), p.GetValue()})
	}
	if slices.IsSortedFunc(l, ascending) {
		return l
	}
	m := make(map[string]string, len(l))
	for _, p := range l {
		m[p.Key] = p.Value
	}
	return FromMap(m)
}

// ascending orders by key, and says of equal keys that they are out of order: so
// only labels that are sorted and unique pass as sorted.
func ascending(later, earlier Label) int {
	if later.Key <= earlier.Key {
		return -1
	}
	return 1
}

// Pairs returns the labels as events carry them.
func (l Labels) Pairs() []*eventv1.Pair {
	if len(l) == 0 {
		return nil
	}
	pairs := make([]*eventv1.Pair, len(l))
	for i, p := range l {
		pairs[i] = &eventv1.Pair{Key: p.Key, Value: p.Value}
	}
	return pairs
}

// Map returns the labels as a new map.
func (l Labels) Map() map[string]string {
	m := make(map[string]string, len(l))
	for _, p := range l {
		m[p.Key] = p.Value
	}
	return m
}

// Get returns the value of a key.
func (l Labels) Get(key string) (string, bool) {
	i, ok := slices.BinarySearchFunc(l, key, func(p Label, key string) int { return strings.Compare(p.Key, key) })
	if !ok {
		return "", false
	}
	return l[i].Value, true
}

// Equal reports whether both have the same pairs.
func (l Labels) Equal(m Labels) bool { return slices.Equal(l, m) }

// String returns the labels as key=value, with a comma between.
func (l Labels) String() string {
	parts := make([]string, len(l))
	for i, p := range l {
		parts[i] = p.Key + "=" + p.Value
	}
	return strings.Join(parts, ",")
}

// Valid returns why these can't be labels, or nil.
func (l Labels) Valid() error {
	if len(l) > MaxLabels {
		return fmt.Errorf("there are %d labels, at most %d may be", len(l), MaxLabels)
	}
	for i, p := range l {
		if i > 0 && l[i-1].Key >= p.Key {
			return fmt.Errorf("the labels are not sorted: %s comes after %s", quote(p.Key), quote(l[i-1].Key))
		}
		if err := ValidLabel(p.Key, p.Value); err != nil {
			return err
		}
	}
	return nil
}

// ValidLabel returns why the pair can't be a label, or nil. A key has 1 to 63
// characters of a-z A-Z 0-9 . _ / -, a value 0 to 63 bytes of printable text.
func ValidLabel(key, value string) error {
	if len(key) == 0 || len(key) > MaxLabelKey {
		return fmt.Errorf("%s is not a label's key: it has %d characters, 1 to %d may be", quote(key), len(key), MaxLabelKey)
	}
	for i := range len(key) {
		if !keyCharacter(key[i]) {
			return fmt.Errorf("%s is not a label's key: %q can't be in one", quote(key), key[i])
		}
	}
	if len(value) > MaxLabelValue {
		return fmt.Errorf("the value of %s has %d bytes, at most %d may be", key, len(value), MaxLabelValue)
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("the value of %s is not printable: %s", key, quote(value))
	}
	return nil
}

func keyCharacter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._/-", c) >= 0
}

// MarshalJSON writes an object, keys in order.
func (l Labels) MarshalJSON() ([]byte, error) { return json.Marshal(l.Map()) }

// UnmarshalJSON reads an object of strings.
func (l *Labels) UnmarshalJSON(data []byte) error {
	var m map[string]string
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	*l = FromMap(m)
	return nil
}
