package socket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
)

// Server is the agent's end for one attempt.
type Server struct {
	path     string
	add      func(secret []byte) (unused []string, err error)
	listener *net.UnixListener
	release  func()
	requests atomic.Int64
}

// Listen makes the socket in a folder, which must exist and be open to nobody but
// the attempt's user; the path may be of any length. A socket that an attempt
// before left there is replaced. Secrets are given to add, which must be safe for
// concurrent use and must not keep them: [mask.Set.Add]. Run has to follow.
func Listen(folder string, add func(secret []byte) (unused []string, err error)) (*Server, error) {
	path := filepath.Join(folder, name)
	short, release, err := reach(path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for secrets: %w", err)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		// If it can't be removed, the next step says so.
		_ = os.Remove(path)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		release()
		return nil, fmt.Errorf("cannot listen for secrets in %s: %w", folder, err)
	}
	return &Server{path: path, add: add, listener: listener, release: release}, nil
}

// Path is where the socket is: the value of Variable.
func (s *Server) Path() string { return s.path }

// Run serves until ctx ends, then removes the socket, cuts off who is connected,
// and returns when nothing of it is left.
func (s *Server) Run(ctx context.Context) {
	defer s.release()
	defer s.listener.Close() // waits until the socket is removed, which may need what release gives up
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	places := make(chan struct{}, maxConnections)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := s.listener.Accept()
		if err != nil {
			if !wait(ctx, acceptPause) {
				return
			}
			<-places
			continue
		}
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
