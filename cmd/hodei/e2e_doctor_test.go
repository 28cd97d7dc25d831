package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is well is said to be, of a server that runs; and of one that doesn't what
// keeps it from running.
func TestDoctor(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	eventually(t, commandLimit, func() error {
		_, err := c.client().Worker(t.Context(), "local")
		return err
	})
	data := filepath.Join(c.dir, "data")
	look := func(want int, lines ...string) {
		t.Helper()
		out, stderr, code := c.hodei("doctor", "--data", data, "--http", c.http, "--grpc", c.grpc)
		if code != want {
			t.Errorf("exit %d, want %d\n%s%s", code, want, out, stderr)
		}
		for _, line := range lines {
			if !strings.Contains(out, line) {
				t.Errorf("%q is not said:\n%s", line, out)
			}
		}
	}
	look(0, "✓ server ", "✓ ready ", "✓ clock ", "✓ token    admin, admin of all namespaces", "✓ version ", "✓ workers  1 online", "✓ data ", ", open in process ", "✓ key ", "✓ grpc ")
	key := data + ".key"
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	look(1, "✗ key ", "can be read by others (0644)", "help: chmod 600")
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	c.stop(os.Interrupt)
	look(1, "✗ server ", "✓ data ", "open in no process", "✓ http ", "✓ grpc ")
	taken, err := net.Listen("tcp", c.grpc)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	look(1, "✗ grpc     a server can't listen on "+c.grpc+": address already in use")
}

func TestClocksThatDiffer(t *testing.T) {
	for skew, want := range map[time.Duration]string{0: checkOK, 4 * time.Second: checkOK, time.Minute: checkWrong, -time.Minute: checkWrong} {
		if got := clockCheck(skew); got.State != want {
			t.Errorf("%s: %+v", skew, got)
		}
	}
}
