package gateway_test

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"

	"github.com/hodei-jobs/hodei/agentproto/gateway"
	"github.com/hodei-jobs/hodei/agentproto/gateway/authority"
	"github.com/hodei-jobs/hodei/eventstore/keyring"
)

// piped is a listener with one connection, a net.Pipe.
type piped struct {
	coming chan net.Conn
	closed chan struct{}
}

func (p *piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.coming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *piped) Close() error   { close(p.closed); return nil }
func (p *piped) Addr() net.Addr { return &net.TCPAddr{} }

// TestAConnectionThatOnlyStaysIsClosed, whether it never gets as far as TLS or is
// set up and makes no call.
func TestAConnectionThatOnlyStaysIsClosed(t *testing.T) {
	keys, err := keyring.OpenFile(filepath.Join(t.TempDir(), "keyring"), filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	for _, test := range []struct {
		name   string
		setUp  bool
		within time.Duration
	}{
		{"nothing is sent", false, 15 * time.Second},
		{"no call is made", true, 2 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca, err := authority.Open(t.Context(), authority.Config{Keyring: keys})
				if err != nil {
					t.Fatal(err)
				}
				far, near := net.Pipe()
				l := &piped{coming: make(chan net.Conn, 1), closed: make(chan struct{})}
				l.coming <- near
				server := grpc.NewServer(gateway.ServerOptions(ca.TLS())...)
				go func() { _ = server.Serve(l) }()
				began := time.Now()
				_ = far.SetDeadline(began.Add(time.Hour))
				conn := net.Conn(far)
				if test.setUp {
					secured := tls.Client(far, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
					if err := secured.Handshake(); err != nil {
						t.Fatal(err)
					}
					go func() { // while what the server says is read: a pipe holds nothing
						_, _ = secured.Write([]byte(http2.ClientPreface))
						_ = http2.NewFramer(secured, nil).WriteSettings()
					}()
					conn = secured
				}
				_, err = io.Copy(io.Discard, conn)
				if took := time.Since(began); took > test.within {
					t.Errorf("it stays for %v: %v", took, err)
				}
				_ = far.Close()
				server.Stop()
			})
		})
	}
}
