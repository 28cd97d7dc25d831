package process_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
)

func TestExit(t *testing.T) {
	for _, row := range []struct {
		name, script string
		code         int
		signal       string
	}{
		{"success", "exit 0", 0, ""},
		{"a failure", "exit 3", 3, ""},
		{"the largest code", "exit 255", 255, ""},
		{"a signal", "kill -TERM $$", -1, "TERM"},
		{"a kill by somebody", "kill -KILL $$", -1, "KILL"},
		{"a crash", "ulimit -c 0; kill -SEGV $$", -1, "SEGV"},
		{"a shell whose child was killed", "sh -c 'kill -KILL $$'; exit $?", 137, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, exit := run(t, sh(row.script))
			if exit.Code != row.code || exit.Signal != row.signal {
				t.Errorf("code %d, signal %q; want %d, %q", exit.Code, exit.Signal, row.code, row.signal)
			}
			if exit.OutOfMemory || exit.Stopped {
				t.Errorf("nobody stopped it, memory was there: %+v", exit)
			}
		})
	}
}

func TestStartSaysWhyNot(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, row := range []struct {
		name   string
		argv   []string
		dir    string
		reason string
	}{
		{"a program that is nowhere", []string{"no-such-program"}, dir, "cannot start no-such-program: not found in PATH (/usr/bin:/bin)"},
		{"a path that isn't there", []string{"./missing"}, dir, "cannot start ./missing: no such file"},
		{"a folder", []string{dir}, dir, "it is a folder"},
		{"a file that is not executable", []string{write("plain", "x", 0o600)}, dir, "it is not executable"},
		{"a script whose interpreter is missing", []string{write("script", "#!/no/such/shell\n", 0o700)}, dir, "the interpreter that it names does not exist"},
		{"a file of no known format", []string{write("junk", "\x00\x01junk", 0o700)}, dir, "this machine can't run files of its format"},
		{"a working folder that isn't there", []string{"true"}, dir + "/gone", "its working folder " + dir + "/gone does not exist"},
		{"arguments beyond what the kernel takes", []string{"true", strings.Repeat("x", 1<<20)}, dir, "arguments and environment are too long"},
		{"no name at all", []string{""}, dir, "the program's name is empty"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := host().Start(process.Spec{Argv: row.argv, Dir: row.dir, Env: []string{"PATH=/usr/bin:/bin"}, TTY: true})
			var start *process.StartError
			if !errors.As(err, &start) || !strings.HasSuffix(err.Error(), row.reason) {
				t.Errorf("got %v, want %s", err, row.reason)
			}
		})
	}
}

func TestAProgramIsFoundInThePathOfItsOwnEnvironment(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("#!/bin/sh\necho found\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, _ := run(t, process.Spec{Argv: []string{"mine"}, Dir: "/", Env: []string{"PATH=/bin", "PATH=" + dir + ":/bin"}, TTY: true})
	if out != "found\n" {
		t.Errorf("got %q", out)
	}
}

func TestAllBytesPassUnchanged(t *testing.T) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i), byte(i), '\n', '\r')
	}
	file := filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tty := range map[string]bool{"through a terminal": true, "through a pipe": false} {
		t.Run(name, func(t *testing.T) {
			spec := sh("cat " + file)
			spec.TTY = tty
			if out, _ := run(t, spec); out != string(all) {
				t.Errorf("got %q", out)
			}
		})
	}
}

func TestALineOf10MBPassesWhole(t *testing.T) {
	const size = 10 << 20
	want := sha256.Sum256(bytes.Repeat([]byte("x"), size))
	for name, tty := range map[string]bool{"through a terminal": true, "through a pipe": false} {
		t.Run(name, func(t *testing.T) {
			sum, n := sha256.New(), 0
			spec := sh("head -c 10485760 /dev/zero | tr '\\0' x")
			spec.TTY = tty
			spec.Stdout = writerFunc(func(p []byte) (int, error) {
				n += len(p)
				return sum.Write(p)
			})
			start(t, spec).Wait()
			if n != size || [32]byte(sum.Sum(nil)) != want {
				t.Errorf("%d bytes came, or others than were written", n)
			}
		})
	}
}

func TestPipesKeepStderrApart(t *testing.T) {
	var out, errs bytes.Buffer
	spec := sh("echo out; echo err >&2; test -t 1 || echo no terminal")
	spec.TTY, spec.Stdout, spec.Stderr = false, &out, &errs
	start(t, spec).Wait()
	if out.String() != "out\nno terminal\n" || errs.String() != "err\n" {
		t.Errorf("out %q, err %q", out.String(), errs.String())
	}
}

// What a slow reader hasn't taken yet is not late: the drain limit counts only
// time in which the reader waits for the job.
func TestOutputBeforeTheExitIsKeptHoweverSlowTheReader(t *testing.T) {
	t.Parallel()
	const size = 80000 // held by pipe and reader together, so that the job can end
	release := make(chan struct{})
	time.AfterFunc(process.DrainLimit+500*time.Millisecond, func() { close(release) })
	var got int
	spec := sh("head -c 80000 /dev/zero")
	spec.TTY = false
	spec.Stdout = writerFunc(func(p []byte) (int, error) {
		<-release
		got += len(p)
		return len(p), nil
	})
	start(t, spec).Wait()
	if got != size {
		t.Errorf("%d of %d bytes came", got, size)
	}
}

func TestAWriterThatFailsDoesNotStopTheJob(t *testing.T) {
	spec := sh("head -c 1000000 /dev/zero; exit 5")
	spec.Stdout = writerFunc(func([]byte) (int, error) { return 0, io.ErrClosedPipe })
	if exit := start(t, spec).Wait(); exit.Code != 5 {
		t.Errorf("got %+v", exit)
	}
}

func TestTerminal(t *testing.T) {
	for _, row := range []struct {
		name, script, want string
	}{
		{"standard output and error are a terminal", "test -t 1 && test -t 2 && echo yes", "yes\n"},
		{"standard input is not", "test -t 0 || echo no; cat", "no\n"},
		{"it has a size", "stty size <&2", "40 120\n"},
		{"a prompt on /dev/tty fails at once", "read answer </dev/tty || echo failed", "failed\n"},
		{"nobody has it as controlling terminal", "ps -o tty= -p $$ | tr -d ' '", "?\n"},
		{"opening it by name doesn't change that", "exec 3<>$(tty <&2); ps -o tty= -p $$ | tr -d ' '", "?\n"},
		{"the job leads its group, not a session", "ps -o pgid=,pid=,sid= -p $$ | { read group pid session; test $group = $pid && test $session != $pid && echo yes; }", "yes\n"},
		{"a line end stays one byte", "printf 'a\\nb\\n'", "a\nb\n"},
		{"a progress bar stays what it is", "printf '1%%\\r2%%\\r'", "1%\r2%\r"},
		{"job control works", "bash -c 'set -m; sleep 0.01 & fg >/dev/null && echo done'", "done\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			out, _ := run(t, sh(row.script))
			if !strings.HasSuffix(out, row.want) {
				t.Errorf("got %q, want %q", out, row.want)
			}
		})
	}
}

func TestGitShowsItsLogWithoutAPager(t *testing.T) {
	dir := t.TempDir()
	spec := sh("git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first && git log --oneline")
	spec.Dir = dir
	out, exit := run(t, spec)
	if exit.Code != 0 || !strings.Contains(out, "first") {
		t.Errorf("%+v: %q", exit, out)
	}
}

func TestDescriptorsOfTheAgentDoNotReachJobs(t *testing.T) {
	out, _ := run(t, sh("exec ls -1 /proc/self/fd"))
	if out != "0\n1\n2\n3\n" { // 3 is the folder it lists
		t.Errorf("open: %q", out)
	}
}

func TestSignalNames(t *testing.T) {
	for name, want := range map[string]unix.Signal{"TERM": unix.SIGTERM, "SIGINT": unix.SIGINT, "HUP": unix.SIGHUP, "QUIT": unix.SIGQUIT} {
		if got, ok := process.ParseSignal(name); !ok || got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
	for _, name := range []string{"", "NOPE", "15", "term"} {
		if got, ok := process.ParseSignal(name); ok {
			t.Errorf("%q is %v", name, got)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
