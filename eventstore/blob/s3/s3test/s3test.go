// Package s3test runs a real S3-compatible server, versitygw, for tests. The
// program is built into .tools/bin by `task s3`.
package s3test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/eventstore/blob/s3"
)

// What the server is asked with.
const (
	AccessKey = "testkey"
	SecretKey = "testsecret12"
	Region    = "us-east-1"
	Bucket    = "logs"
)

const (
	startLimit = 20 * time.Second
	startLook  = 20 * time.Millisecond
)

// Server is a server on this machine, for one test.
type Server struct {
	Endpoint string // URL

	program string
	dir     string // of objects: a folder a bucket
	address string
	process *exec.Cmd
}

// Start starts a server with an empty bucket. It ends with the test. Without the
// program the test is skipped, or fails under HODEI_REQUIRE_ALL.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := find()
	if err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skipf("no S3 server to test with: %v; build it with: task s3", err)
		}
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &Server{Endpoint: "http://" + address, program: program, dir: t.TempDir(), address: address}
	if err := os.Mkdir(filepath.Join(s.dir, Bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Again(t)
	t.Cleanup(s.Stop)
	return s
}

// find looks for the program from the folder of the test up to the repository's.
func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			program := filepath.Join(dir, ".tools", "bin", "versitygw")
			_, err := os.Stat(program)
			return program, err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

// Again starts the server anew, with the objects it had.
func (s *Server) Again(t testing.TB) {
	t.Helper()
	s.process = exec.CommandContext(context.WithoutCancel(t.Context()), s.program, "--port", s.address, "--region", Region, "posix", s.dir)
	s.process.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(startLook)
	defer look.Stop()
	for end := time.Now().Add(startLimit); ; <-look.C {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.address)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			s.Stop()
			t.Fatalf("the S3 server does not answer: %v", err)
		}
	}
}

// Stop kills the server.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

// Hang lets the server take connections and answer nothing, until Wake or Stop.
func (s *Server) Hang(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	for deadline := time.Now().Add(10 * time.Second); !stopped(s.process.Process.Pid); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server does not stop")
		}
	}
}

// stopped says whether all threads of a process stand still: one that has not heard
// of the signal yet would still answer.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		stat, err := os.ReadFile(path)
		if _, after, ok := strings.Cut(string(stat), ") "); err == nil && (!ok || after[0] != 'T') {
			return false
		}
	}
	return len(threads) > 0
}

// Wake ends Hang.
func (s *Server) Wake(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// Config is how to use the server; calls end after stall.
func (s *Server) Config(prefix string, stall time.Duration) s3.Config {
	return s3.Config{
		Endpoint: s.Endpoint, Region: Region, Bucket: Bucket, Prefix: prefix,
		AccessKey: AccessKey, SecretKey: SecretKey, Stall: stall,
	}
}

// Store returns the server's bucket below a prefix.
func (s *Server) Store(t testing.TB, prefix string, stall time.Duration) *s3.Store {
	t.Helper()
	store, err := s3.New(s.Config(prefix, stall))
	if err != nil {
		t.Fatal(err)
	}
	return store
}
