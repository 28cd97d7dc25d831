package socket

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
)

// Server is the agent's end for one attempt.
type Server struct {
	place    *place
	root     *Root
	add      func(secret []byte) (unused []string, err error)
	requests atomic.Int64
}

// Path is where the socket is: the value of Variable.
func (s *Server) Path() string { return s.place.path }

// Run serves until ctx ends, then cuts off who is connected, gives the socket back,
// and returns when nothing of it is left. A job can't keep it busy: what comes
// after maxRequests connections is served with a pause before each.
func (s *Server) Run(ctx context.Context) {
	listener := s.place.listener
	told := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(told)
		// Only ends the wait for connections: the socket may be used again.
		_ = listener.SetDeadline(time.Unix(1, 0))
	})
	served := s.acceptAll(ctx)
	if !stop() {
		<-told
	}
	s.root.takeBack(s.place, served == 0)
}

// acceptAll returns how many connections it has served.
func (s *Server) acceptAll(ctx context.Context) (served int) {
	var group sync.WaitGroup
	defer group.Wait()
	places := make(chan struct{}, maxConnections)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return served
		}
		if served >= maxRequests && !wait(ctx, acceptPause) {
			return served
		}
		conn, err := s.place.listener.Accept()
		if err != nil {
			if !wait(ctx, acceptPause) {
				return served
			}
			<-places
			continue
		}
		served++
		group.Go(func() {
			defer func() { <-places }()
			s.serve(ctx, conn)
		})
	}
}

// wait reports whether the time has passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve answers one request. What is not one gets no answer.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(serveLimit)) != nil {
		return
	}
	secret, err := receive(conn)
	defer clear(secret)
	var reply []byte
	switch {
	case errors.Is(err, mask.ErrLong):
		reply = answer(statusNotMasked, err.Error())
	case err != nil:
		return
	case s.requests.Add(1) > maxRequests:
		reply = answer(statusNotMasked, errTooMany.Error())
	default:
		unused, err := s.add(secret)
		reply = answer(statusMasked, strings.Join(unused, "\n"))
		if err != nil {
			reply = answer(statusNotMasked, err.Error())
		}
	}
	// If it doesn't want the answer, it doesn't get it.
	_, _ = conn.Write(reply)
}

// receive reads a request. It takes memory only for a length that is allowed.
func receive(conn io.Reader) ([]byte, error) {
	var head [lengthBytes]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > mask.MaxSecret {
		return nil, mask.ErrLong
	}
	secret := make([]byte, length)
	_, err := io.ReadFull(conn, secret)
	return secret, err
}
