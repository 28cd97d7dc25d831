// Package processtest waits for what processes of this machine do, of which no
// signal tells.
package processtest

import (
	"testing"
	"time"
)

// Eventually waits until a condition holds; a test ends with what was waited for
// if it does not within limit.
func Eventually(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(limit)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
