package agent_test

import (
	"testing"

	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// BenchmarkFlood is 100 MB of lines of 70 bytes from a job through terminal,
// outbox and stream to a server that acknowledges each piece.
func BenchmarkFlood(b *testing.B) {
	const size = 100_000_000
	for name, tty := range map[string]bool{"terminal": true, "pipe": false} {
		b.Run(name, func(b *testing.B) {
			d := newDouble(b)
			startAgent(b, d)
			s := d.next().welcome()
			b.SetBytes(size)
			for b.Loop() {
				s.assign("j1", func(a *agentprotov1.Assign) { a.Tty = tty }, "yes 012345678901234567890123456789012345678901234567890123456789012345678 | head -c 100000000")
				s.accepted()
				s.start("j1")
				received := uint64(0)
				for ended := false; !ended; {
					switch m := s.receive(); body := m.GetBody().(type) {
					case *agentprotov1.AgentMessage_Chunk:
						received += uint64(len(body.Chunk.GetData()))
						s.ack("j1", received)
					case *agentprotov1.AgentMessage_Result:
						ended = true
					}
				}
				if received != size {
					b.Fatalf("%d bytes came", received)
				}
				s.acknowledge("j1")
			}
		})
	}
}
