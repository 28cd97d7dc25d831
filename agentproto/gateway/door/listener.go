// Package door bounds what strangers can make a server hold before it knows who
// they are, so that its workers get in however many others knock.
//
//	connection ──▶ call ──▶ Hello ──▶ proof ──▶ session
//	└──────────── Listener: strangers ─────────┘
//	               └─ Room: strangers ─┘
//	                         └─ Room: two of each worker ─┘
//
// Nobody is turned away for coming late: when all places are taken, whoever has
// been there longest leaves, but not before it has had a fair time. So those that
// say nothing don't keep others out, and a herd that comes back at once does not
// push itself out again and again.
package door

import (
	"container/list"
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/peer"
)

const (
	maxConnections = 2048            // connections without a session
	fairConnection = 3 * time.Second // that one has for TLS and handshake though others wait
)

// Listener accepts connections, of which only so many may be without a session.
type Listener struct {
	net.Listener
	limit int
	fair  time.Duration

	left   chan struct{} // holds one: there is room
	closed chan struct{}
	close  sync.Once

	mu        sync.Mutex
	strangers list.List // of *conn without a session, the longest open first
}

// Listen bounds how many connections of inner are without a session, each of which
// has a fair time before it may have to make room. Zeros mean 2,048 and three
// seconds. Connections wait unaccepted while all places are taken.
func Listen(inner net.Listener, strangers int, fair time.Duration) *Listener {
	if strangers <= 0 {
		strangers = maxConnections
	}
	if fair <= 0 {
		fair = fairConnection
	}
	return &Listener{Listener: inner, limit: strangers, fair: fair, left: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Accept waits for room, then for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		wait := l.makeRoom()
		if wait == 0 {
			break
		}
		timer := time.NewTimer(wait)
		select {
		case <-l.left:
		case <-timer.C:
		case <-l.closed:
			timer.Stop()
			return nil, net.ErrClosed
		}
		timer.Stop()
	}
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, listener: l, since: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.stranger = l.strangers.PushBack(c)
	return c, nil
}

// Close stops accepting.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// makeRoom sees to it that there is room, or returns how long that takes at most.
func (l *Listener) makeRoom() time.Duration {
	for {
		oldest, wait := l.oldest()
		if oldest == nil || wait > 0 {
			return wait
		}
		_ = oldest.Close()
	}
}

// oldest returns who must make room for one more, and when; nil if nobody has to.
func (l *Listener) oldest() (c *conn, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.strangers.Len() < l.limit {
		return nil, 0
	}
	c = l.strangers.Front().Value.(*conn)
	return c, l.fair - time.Since(c.since)
}

// Strangers is how many connections have no session.
func (l *Listener) Strangers() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strangers.Len()
}

// conn is a connection that may have sessions.
type conn struct {
	net.Conn
	listener *Listener

	// Guarded by the listener's mu.
	since    time.Time     // without a session
	stranger *list.Element // nil: it has sessions, or is closed
	sessions int
	closed   bool
}

// Close closes the connection and gives its place back.
func (c *conn) Close() error {
	l := c.listener
	l.mu.Lock()
	c.closed = true
	c.out()
	l.mu.Unlock()
	return c.Conn.Close()
}

// out takes it out of the strangers; the listener's mu is held.
func (c *conn) out() {
	if c.stranger == nil {
		return
	}
	c.listener.strangers.Remove(c.stranger)
	c.stranger = nil
	select {
	case c.listener.left <- struct{}{}:
	default:
	}
}

// RemoteAddr is the other end's address, by which [Keep] finds the connection.
func (c *conn) RemoteAddr() net.Addr { return address{c.Conn.RemoteAddr(), c} }

type address struct {
	net.Addr
	conn *conn
}

// Keep says that the call with this context is a session: its connection does not
// have to make room until release. A connection that no Listener accepted is kept
// anyway.
func Keep(ctx context.Context) (release func()) {
	p, _ := peer.FromContext(ctx)
	if p == nil {
		return func() {}
	}
	a, ok := p.Addr.(address)
	if !ok {
		return func() {}
	}
	a.conn.keep()
	return a.conn.release
}

func (c *conn) keep() {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.sessions++
	c.out()
}

func (c *conn) release() {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if c.sessions--; c.sessions == 0 && !c.closed {
		c.since = time.Now()
		c.stranger = c.listener.strangers.PushBack(c)
	}
}
