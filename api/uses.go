package api

import (
	"bufio"
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/id"
)

// usesGrain is how exactly it is known when a token was last used.
const usesGrain = int64(time.Minute)

// Uses is when each token was last accepted. That is no event: like heartbeats it
// says nothing of what happened, and an event for each request, or for each hour
// of each token, would wake everything that reads the log. It is kept in memory,
// and by whoever runs the server as [Uses.Encode] writes it, so that a stop loses
// nothing and a crash what came after the last time. All methods are safe for
// concurrent use.
type Uses struct {
	last sync.Map // of *atomic.Int64, ns since 1970, by id.ID
}

// NewUses returns none.
func NewUses() *Uses { return new(Uses) }

// note says that a token was accepted at a time, in ns since 1970.
func (u *Uses) note(token id.ID, at int64) {
	known, ok := u.last.Load(token)
	if !ok {
		known, _ = u.last.LoadOrStore(token, new(atomic.Int64))
	}
	last := known.(*atomic.Int64)
	for {
		before := last.Load()
		if before != 0 && at-before < usesGrain || last.CompareAndSwap(before, at) {
			return
		}
	}
}

// At returns when a token was last accepted, in ns since 1970; 0 is never.
func (u *Uses) At(token id.ID) int64 {
	if last, ok := u.last.Load(token); ok {
		return last.(*atomic.Int64).Load()
	}
	return 0
}

// Encode writes the uses of those tokens that are kept, a line each, and forgets
// the others.
func (u *Uses) Encode(keep func(id.ID) bool) []byte {
	var b bytes.Buffer
	u.last.Range(func(key, value any) bool {
		token := key.(id.ID)
		if !keep(token) {
			u.last.Delete(token)
			return true
		}
		at := time.Unix(0, value.(*atomic.Int64).Load()).UTC()
		fmt.Fprintf(&b, "%s %s\n", token, at.Format(time.RFC3339Nano))
		return true
	})
	return b.Bytes()
}

// Decode takes in what Encode wrote. Lines that say nothing are passed over: of
// what is in them the log knows nothing either.
func (u *Uses) Decode(data []byte) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		name, when, _ := bytes.Cut(lines.Bytes(), []byte(" "))
		token, err := id.Parse(string(name))
		if err != nil {
			continue
		}
		if at, err := time.Parse(time.RFC3339Nano, string(when)); err == nil {
			u.note(token, at.UnixNano())
		}
	}
}
