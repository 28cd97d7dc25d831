package people

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Names are what people are called. The log has only what stands for them, since
// nothing can be erased from it; a name that is forgotten here is nowhere else.
// All methods are safe for concurrent use.
type Names struct {
	mu    sync.Mutex
	byKey map[string]string // guarded by mu
}

// inTokens begins the name of a token that is a person's session.
const inTokens = "person "

// NewNames returns none.
func NewNames() *Names { return &Names{byKey: map[string]string{}} }

// Set notes what a person is called, and says whether that is new.
func (n *Names) Set(p *Person) (changed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed = n.byKey[p.Key] != p.Name
	n.byKey[p.Key] = p.Name
	return changed
}

// TokenName is what a person's session is called in the log.
func TokenName(p *Person) string { return inTokens + p.Key }

// Shown is how a token's name is shown: of a person's session what the person is
// called, if that is known.
func (n *Names) Shown(tokenName string) string {
	before, key, ok := strings.Cut(tokenName, inTokens)
	if !ok {
		return tokenName
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if name, known := n.byKey[key]; known {
		return before + name
	}
	return tokenName
}

// Encode writes them, a line each.
func (n *Names) Encode() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(n.byKey)) {
		name, _ := json.Marshal(n.byKey[key]) // a string never fails
		b.WriteString(key + " ")
		b.Write(append(name, '\n'))
	}
	return b.Bytes()
}

// Decode takes in what Encode wrote; other lines are passed over.
func (n *Names) Decode(data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for line := range strings.Lines(string(data)) {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var name string
		if json.Unmarshal([]byte(rest), &name) == nil && name != "" {
			n.byKey[key] = name
		}
	}
}
