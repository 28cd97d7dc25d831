package process

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// module is the first line of the go.mod of a source checkout.
const module = "module github.com/hodei-jobs/hodei\n"

// Binary says where the agent's binary comes from.
type Binary struct {
	AgentDir string    // folder with hodei-agent-OS-ARCH or hodei-agent; first choice if given
	BinDir   string    // where it is kept: BinDir/SHA256/hodei-agent
	Progress io.Writer // told of a build, which takes a while
}

// Find returns the path of a copy of the agent's binary, named by its digest, so
// that it is not replaced under a running agent. It is looked for in AgentDir,
// beside this program, and at last built if this is a source checkout.
func (b Binary) Find(ctx context.Context) (string, error) {
	path, err := b.locate(ctx)
	if err != nil {
		return "", err
	}
	return b.keep(path)
}

func (b Binary) locate(ctx context.Context) (string, error) {
	names := []string{"hodei-agent-" + runtime.GOOS + "-" + runtime.GOARCH, "hodei-agent"}
	dirs := []string{b.AgentDir}
	if b.AgentDir == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("cannot find hodei-agent: %w", err)
		}
		dirs = []string{filepath.Dir(self)}
	}
	for _, dir := range dirs {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	if b.AgentDir == "" {
		if root, ok := checkout(); ok {
			return b.build(ctx, root)
		}
	}
	return "", fmt.Errorf("cannot find hodei-agent: there is no %s in %s; put it there or name its folder with --agent-dir", names[0], dirs[0])
}

// checkout returns the root of the source checkout this process was started in.
func checkout() (string, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
			return dir, bytes.HasPrefix(b, []byte(module))
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

func (b Binary) build(ctx context.Context, root string) (string, error) {
	out := filepath.Join(b.BinDir, "build", "hodei-agent")
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		return "", fmt.Errorf("cannot build hodei-agent: %w", err)
	}
	fmt.Fprintln(b.Progress, "building hodei-agent from source …")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", out, "./cmd/hodei-agent")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build hodei-agent: %w\n%s", err, bytes.TrimSpace(said))
	}
	return out, nil
}

// keep copies the binary to where its digest names it, once.
func (b Binary) keep(path string) (string, error) {
	digest, err := digestOf(path)
	if err != nil {
		return "", fmt.Errorf("cannot read hodei-agent: %w", err)
	}
	kept := filepath.Join(b.BinDir, digest, "hodei-agent")
	if d, err := digestOf(kept); err == nil && d == digest {
		return kept, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return "", fmt.Errorf("cannot keep hodei-agent: %w", err)
	}
	if err := copyTo(kept, path); err != nil {
		return "", fmt.Errorf("cannot keep hodei-agent: %w", err)
	}
	return kept, nil
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func copyTo(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	tmp, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = io.Copy(tmp, src)
	if err := errors.Join(err, tmp.Chmod(0o700), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), to)
}
