package gateway

import (
	"time"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
)

const ackEvery = 5 * time.Millisecond // between acknowledgements of a session, at least

// tell puts a message into the sender's queue; it waits while that is full, until
// the session ends.
func (s *session) tell(m *pb.ServerMessage) {
	select {
	case s.queue <- m:
	case <-s.ctx.Done():
	}
}

// offer is tell for the receiver, which must not wait: if the queue is full the
// message is dropped, and owes says it again.
func (s *session) offer(m *pb.ServerMessage) bool {
	select {
	case s.queue <- m:
		return true
	default:
		return false
	}
}

// send is the only goroutine that sends: what is queued, acknowledgements, beats.
func (s *session) send() {
	beat := time.NewTicker(Heartbeat)
	defer beat.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	ackable := (<-chan struct{})(nil) // nil while it is too early for the next
	for {
		var err error
		select {
		case <-s.ctx.Done():
			return
		case m := <-s.queue:
			err = s.transmit(m)
		case <-pause.C:
			ackable = s.ackable
		case <-ackable:
			ackable = nil
			pause.Reset(ackEvery)
			err = s.acknowledge()
		case <-beat.C:
			err = s.transmit(&pb.ServerMessage{Body: &pb.ServerMessage_Beat{Beat: &pb.ServerBeat{
				TimeNs: s.g.config.Clock().UnixNano(),
			}}})
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// acknowledge names the newest durable offset of each log and series whose offset rose.
func (s *session) acknowledge() error {
	s.mu.Lock()
	acks := make([]*pb.Ack, 0, len(s.acks))
	for _, f := range s.acks {
		acks = append(acks, f.ack())
	}
	s.acks = s.acks[:0]
	s.mu.Unlock()
	for _, ack := range acks {
		if err := s.transmit(&pb.ServerMessage{Body: &pb.ServerMessage_Ack{Ack: ack}}); err != nil {
			return err
		}
	}
	return nil
}

// transmit sends one message. Only the sender calls it, and after its end the
// farewell.
func (s *session) transmit(m *pb.ServerMessage) error {
	s.sent++
	m.RequestId = s.sent
	s.sending.Store(int64(time.Since(s.began)))
	err := s.stream.Send(m)
	s.sending.Store(0)
	return err
}
