package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
)

// listen is a server at a place in a folder.
func listen(t *testing.T, folder string, add func([]byte) ([]string, error)) *Server {
	t.Helper()
	p, err := open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return &Server{place: p, root: &Root{}, add: add}
}

// run runs a server until stop is called, which waits for its end.
func run(s *Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// serve runs a server for a set, and gives its path.
func serve(t *testing.T, folder string, set *mask.Set) string {
	t.Helper()
	s := listen(t, folder, set.Add)
	stop := run(s)
	t.Cleanup(func() {
		stop()
		if _, err := os.Lstat(s.Path()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is left behind: %v", err)
		}
	})
	return s.Path()
}

func TestASecretIsMaskedOnceTheAnswerIsThere(t *testing.T) {
	set, _ := mask.New(nil)
	path := serve(t, t.TempDir(), set)
	for _, secret := range []string{"hunter2", "\x00\xff\n\x1b[m", strings.Repeat("x", mask.MaxSecret)} {
		if _, err := Mask(t.Context(), path, []byte(secret)); err != nil {
			t.Fatal(err)
		}
		if got := set.Text("<" + secret + ">"); got != "<***>" {
			t.Errorf("got %q", got[:min(len(got), 100)])
		}
	}
	unused, err := Mask(t.Context(), path, []byte("abcd"))
	if err != nil || !slices.Equal(unused, []string{"base64"}) {
		t.Errorf("got %q, %v", unused, err)
	}
}

func TestWhyASecretIsNotMasked(t *testing.T) {
	set, _ := mask.New(nil)
	path := serve(t, t.TempDir(), set)
	for secret, reason := range map[string]error{
		"": mask.ErrEmpty, " \n": mask.ErrBlank, "abc": mask.ErrShort, strings.Repeat("x", mask.MaxSecret+1): mask.ErrLong,
	} {
		_, err := Mask(t.Context(), path, []byte(secret))
		var refused *NotMaskedError
		if !errors.As(err, &refused) || refused.Reason != reason.Error() {
			t.Errorf("got %v, want %v", err, reason)
		}
	}
}

// The kernel takes paths of 107 bytes; a workspace may lie deeper.
func TestAPathOfAnyLength(t *testing.T) {
	for _, length := range []int{maxPath - 1, maxPath, maxPath + 1, 1000} {
		folder := t.TempDir()
		for len(folder)+1+len(name) < length {
			folder += "/" + strings.Repeat("d", min(200, max(1, length-len(folder)-2-len(name))))
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		set, _ := mask.New(nil)
		path := serve(t, folder, set)
		if _, err := Mask(t.Context(), path, []byte("hunter2")); err != nil {
			t.Errorf("%d bytes: %v", len(path), err)
		}
	}
}

func TestWhereThereIsNoAgent(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(folder, "none"), file, "relative", "", "/" + strings.Repeat("d/", 60) + "x"} {
		if _, err := Mask(t.Context(), path, []byte("hunter2")); err == nil {
			t.Errorf("%q: no error", path)
		}
	}
	if _, err := open(filepath.Join(folder, "none")); err == nil {
		t.Error("a folder that isn't there: no error")
	}
	if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(folder); err == nil {
		t.Error("a file in the way: no error")
	}
}

// A socket that was left behind is replaced.
func TestASocketThatWasLeft(t *testing.T) {
	folder := t.TempDir()
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(folder, name), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	set, _ := mask.New(nil)
	if _, err := Mask(t.Context(), serve(t, folder, set), []byte("hunter2")); err != nil {
		t.Error(err)
	}
}

// Whatever comes, those that ask properly are served.
func TestHostileInput(t *testing.T) {
	set, _ := mask.New(nil)
	path := serve(t, t.TempDir(), set)
	send := func(data []byte) net.Conn {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(data)
		return conn
	}
	for _, data := range [][]byte{nil, {0}, {0, 0, 0, 9, 'x'}, {255, 255, 255, 255}, bytes.Repeat([]byte("x"), 1<<16), {0, 0, 0, 0, 0, 0}} {
		send(data).Close()
	}
	for range maxConnections - 1 {
		defer send([]byte{0, 0, 1, 0, 'x'}).Close() // and says no more
	}
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			if _, err := Mask(t.Context(), path, fmt.Appendf(nil, "secret-%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	conn := send([]byte{255, 255, 255, 255})
	defer conn.Close()
	_, err := receiveAnswer(conn)
	var refused *NotMaskedError
	if !errors.As(err, &refused) || refused.Reason != mask.ErrLong.Error() {
		t.Errorf("got %v", err)
	}
}

// Those that hold all places lose them, and who waits is served.
func TestSilentConnectionsLoseTheirPlace(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a time limit")
	}
	set, _ := mask.New(nil)
	path := serve(t, t.TempDir(), set)
	for range maxConnections {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	begin := time.Now()
	if _, err := Mask(t.Context(), path, []byte("hunter2")); err != nil {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

func TestAnAttemptMayAskSoOften(t *testing.T) {
	set, _ := mask.New(nil)
	s := listen(t, t.TempDir(), set.Add)
	s.requests.Store(maxRequests - 1)
	defer run(s)()
	for i, want := range []string{"", errTooMany.Error()} {
		_, err := Mask(t.Context(), s.Path(), []byte("hunter2"))
		var refused *NotMaskedError
		if want == "" && err != nil || want != "" && (!errors.As(err, &refused) || refused.Reason != want) {
			t.Errorf("request %d: %v", i, err)
		}
	}
}

// Whoever waits when the attempt ends is cut off at once.
func TestTheEndCutsOff(t *testing.T) {
	asked := make(chan struct{})
	s := listen(t, t.TempDir(), func([]byte) ([]string, error) { return nil, nil })
	stop := run(s)
	conn, err := net.Dial("unix", s.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		conn.Write([]byte{0, 0, 0, 9})
		close(asked)
	}()
	<-asked
	stop()
	if _, err := receiveAnswer(conn); err == nil {
		t.Error("there was an answer")
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, data := range []string{"", "\x00", "\x00\x00\x05abc", "\x07\x00\x00", "\x00\xff\xff", "\x01\x00\x09cut off"} {
		if _, err := receiveAnswer(strings.NewReader(data)); err == nil {
			t.Errorf("%q: no error", data)
		}
	}
	if text := answer(statusNotMasked, strings.Repeat("x", 70_000)); len(text) != headBytes+maxAnswer {
		t.Errorf("an answer of %d bytes", len(text))
	}
}

func TestASilentAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), name)
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Mask(ctx, path, []byte("hunter2")); err == nil {
		t.Error("no error")
	}
}
