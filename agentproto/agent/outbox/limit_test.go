package outbox_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
)

func words(lost uint64) []byte { return fmt.Appendf(nil, "[%d lost]\n", lost) }

// What is written beyond a limit is taken and dropped, and told of on lines of its
// own: where it begins, and at the end.
func TestALimit(t *testing.T) {
	for _, row := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"less", []string{"12345\n"}, "12345\n"},
		{"just as much", []string{"12345678\n", "x"}, "12345678\nx"},
		{"more in one write", []string{"123456789012\n"}, "1234567890\n[0 lost]\n[3 lost]\n"},
		{"more, after a whole line", []string{"123456789\n", "x", "yz"}, "123456789\n[0 lost]\n[3 lost]\n"},
		{"more by far", []string{"1234567", strings.Repeat("x", 10<<20)}, "1234567xxx\n[0 lost]\n[10485757 lost]\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, o *outbox.Outbox) {
				b := o.Open(key)
				b.Limit(10, words)
				for i, text := range row.writes {
					write(t, b, outbox.Tag(1+i%2), text)
				}
				b.Close()
				if got := strings.Join(taken(o), ""); got != row.want || b.Written() != uint64(len(got)) {
					t.Errorf("got %q, want %q; %d bytes written", got, row.want, b.Written())
				}
			})
		})
	}
}

// A writer that waits for room goes on once the limit is reached, though nobody
// takes what is kept.
func TestALimitLetsWritersGo(t *testing.T) {
	inBubble(t, func(t *testing.T, o *outbox.Outbox) {
		o.SetWindow(0, 0, 0)
		b := o.Open(key)
		b.Limit(1<<20, words)
		write(t, b, outbox.Stdout, strings.Repeat("x", 64<<20))
		synctest.Wait()
		if b.Stalled() || b.Written() > 1<<20+64 {
			t.Errorf("stalled %v, %d bytes written", b.Stalled(), b.Written())
		}
	})
}
