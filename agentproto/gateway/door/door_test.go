package door_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/hodei-jobs/hodei/agentproto/gateway/door"
	"github.com/hodei-jobs/hodei/aggregates/id"
)

const fair = time.Second

// guest is a handshake in a room.
type guest struct {
	*door.Place
	expelled bool
}

func enter(r *door.Room) (*guest, bool) {
	g := &guest{}
	place, ok := r.Enter(func(err error) { g.expelled = errors.Is(err, door.ErrMadeRoom) })
	g.Place = place
	return g, ok
}

func TestRoom(t *testing.T) {
	fill := func(t *testing.T, r *door.Room) (all []*guest) {
		t.Helper()
		for range 3 {
			g, ok := enter(r)
			if !ok {
				t.Fatal("there is no room")
			}
			all = append(all, g)
		}
		return all
	}
	for _, test := range []struct {
		name string
		do   func(t *testing.T, r *door.Room, all []*guest)
		left int // places that are taken in the end
	}{
		{"nobody is put out before a fair time", func(t *testing.T, r *door.Room, all []*guest) {
			time.Sleep(fair - 1)
			if _, ok := enter(r); ok || all[0].expelled {
				t.Error("one more enters")
			}
		}, 3},
		{"after it the one that was there longest leaves", func(t *testing.T, r *door.Room, all []*guest) {
			time.Sleep(fair)
			if _, ok := enter(r); !ok || !all[0].expelled || all[1].expelled {
				t.Error("nobody made room, or the wrong one")
			}
			all[0].Leave() // its handshake ends
		}, 3},
		{"who leaves makes room", func(t *testing.T, r *door.Room, all []*guest) {
			all[1].Leave()
			all[1].Leave()
			if _, ok := enter(r); !ok {
				t.Error("there is no room")
			}
		}, 3},
		{"a worker that is known makes room for strangers", func(t *testing.T, r *door.Room, all []*guest) {
			all[0].Claim(7)
			if _, ok := enter(r); !ok {
				t.Error("there is no room")
			}
			time.Sleep(fair)
			if _, ok := enter(r); !ok || all[0].expelled || !all[1].expelled {
				t.Error("strangers put out a worker")
			}
		}, 4},
		{"of one worker there are two, and the newest stay", func(t *testing.T, r *door.Room, all []*guest) {
			for _, g := range all {
				g.Claim(7)
			}
			if !all[0].expelled || all[1].expelled || all[2].expelled {
				t.Error("not the oldest of three left")
			}
			all[0].Leave()
			all[0].Claim(7)
		}, 2},
		{"a worker is not in another's way", func(t *testing.T, r *door.Room, all []*guest) {
			for i, g := range all {
				g.Claim(id.ID(i + 1))
			}
			for _, g := range all {
				if g.expelled {
					t.Error("one was put out")
				}
				g.Leave()
			}
		}, 0},
		{"who was put out before it said who it is stays out", func(t *testing.T, r *door.Room, all []*guest) {
			time.Sleep(fair)
			_, _ = enter(r)
			all[0].Claim(7)
		}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := door.NewRoom(3, fair)
				test.do(t, r, fill(t, r))
				if n := r.Len(); n != test.left {
					t.Errorf("%d places are taken, not %d", n, test.left)
				}
			})
		})
	}
}

// street is a listener to whom connections come from a channel.
type street struct {
	net.Listener
	coming chan net.Conn
	closed chan struct{}
}

func (s *street) Accept() (net.Conn, error) {
	select {
	case c := <-s.coming:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *street) Close() error { close(s.closed); return nil }

// visitor is both ends of a connection.
type visitor struct{ far, near net.Conn }

// cut reports whether the server has closed the connection.
func (v visitor) cut() bool {
	_ = v.far.SetReadDeadline(time.Now().Add(time.Nanosecond))
	_, err := v.far.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// call is the context of a call on the connection.
func (v visitor) call() context.Context {
	return peer.NewContext(context.Background(), &peer.Peer{Addr: v.near.RemoteAddr()})
}

func TestListener(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, first []visitor, next func() visitor)
		left int // connections without a session in the end
	}{
		{"one more waits until the oldest has had a fair time", func(t *testing.T, first []visitor, next func() visitor) {
			began := time.Now()
			next()
			if waited := time.Since(began); waited != fair || !first[0].cut() || first[1].cut() {
				t.Errorf("it waited %v, or another than the oldest made room", waited)
			}
		}, 2},
		{"one that closes makes room at once", func(t *testing.T, first []visitor, next func() visitor) {
			began := time.Now()
			time.AfterFunc(fair/10, func() { _ = first[1].near.Close() })
			next()
			if waited := time.Since(began); waited != fair/10 || first[0].cut() {
				t.Errorf("it waited %v, or the oldest was cut", waited)
			}
		}, 2},
		{"those with a session take no place and stay", func(t *testing.T, first []visitor, next func() visitor) {
			for _, v := range first {
				door.Keep(v.call())
			}
			for range 10 {
				next()
				time.Sleep(fair)
			}
			for _, v := range first {
				if v.cut() {
					t.Error("a session was cut")
				}
			}
		}, 2},
		{"one whose last session is over is a stranger again, the newest", func(t *testing.T, first []visitor, next func() visitor) {
			one, two := door.Keep(first[0].call()), door.Keep(first[0].call())
			one()
			time.Sleep(fair)
			next()
			two()
			next()
			if first[0].cut() || !first[1].cut() {
				t.Error("the wrong one made room")
			}
		}, 2},
		{"one that is closed while it has a session leaves nothing", func(t *testing.T, first []visitor, _ func() visitor) {
			release := door.Keep(first[0].call())
			_ = first[0].near.Close()
			release()
		}, 1},
		{"a call from elsewhere is kept anyway", func(_ *testing.T, _ []visitor, _ func() visitor) {
			door.Keep(context.Background())()
			door.Keep(peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{}}))()
		}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &street{coming: make(chan net.Conn), closed: make(chan struct{})}
				l := door.Listen(s, 2, fair)
				next := func() visitor {
					far, near := net.Pipe()
					go func() { s.coming <- near }()
					c, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					return visitor{far, c}
				}
				test.do(t, []visitor{next(), next()}, next)
				if n := l.Strangers(); n != test.left {
					t.Errorf("%d connections have no session, not %d", n, test.left)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestClosingEndsTheWait of a listener without room.
func TestClosingEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &street{coming: make(chan net.Conn, 1), closed: make(chan struct{})}
		l := door.Listen(s, 1, fair)
		_, near := net.Pipe()
		s.coming <- near
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.AfterFunc(fair/2, func() { _ = l.Close() })
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) || time.Since(began) != fair/2 {
			t.Errorf("it ends with %v after %v", err, time.Since(began))
		}
	})
}
