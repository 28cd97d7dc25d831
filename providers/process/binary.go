package process

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/hodei-jobs/hodei/providers/process/bundle"
)

// module is the first line of the go.mod of a source checkout.
const module = "module github.com/hodei-jobs/hodei\n"

// Binary says where the agent's binary comes from.
type Binary struct {
	AgentDir string    // folder with hodei-agent-OS-ARCH or hodei-agent; nothing else is looked at if given
	BinDir   string    // where it is kept: BinDir/SHA256/hodei-agent
	Progress io.Writer // told of a build, which takes a while

	beside  string // folder of this program, unless a test has another
	carried fs.FS  // agents within this program, unless a test has others
}

// source opens an agent's binary, each time from its beginning.
type source func() (io.ReadCloser, error)

// Find returns the path of a copy of the agent's binary, named by its digest, so
// that it is not replaced under a running agent. It is looked for in AgentDir;
// without one beside this program, then within it, as releases carry it, and at
// last built if this is a source checkout.
func (b Binary) Find(ctx context.Context) (string, error) {
	from, err := b.locate(ctx)
	if err != nil {
		return "", err
	}
	return b.keep(from)
}

func (b Binary) locate(ctx context.Context) (source, error) {
	dir := b.AgentDir
	if dir == "" {
		dir = b.beside
	}
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("cannot find hodei-agent: %w", err)
		}
		dir = filepath.Dir(self)
	}
	for _, name := range []string{bundle.Name(runtime.GOOS, runtime.GOARCH), "hodei-agent"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file(path), nil
		}
	}
	if b.AgentDir == "" {
		if from, ok := b.within(); ok {
			return from, nil
		}
		if root, ok := checkout(); ok {
			return b.build(ctx, root)
		}
	}
	return nil, fmt.Errorf("cannot find hodei-agent: there is no %s in %s; put it there or name its folder with --agent-dir", bundle.Name(runtime.GOOS, runtime.GOARCH), dir)
}

func file(path string) source { return func() (io.ReadCloser, error) { return os.Open(path) } }

// within is the agent that this program carries, if it does.
func (b Binary) within() (source, bool) {
	carried := b.carried
	if carried == nil {
		carried = bundle.Agents()
	}
	if _, err := fs.Stat(carried, bundle.Path(runtime.GOOS, runtime.GOARCH)); err != nil {
		return nil, false
	}
	return func() (io.ReadCloser, error) { return bundle.Open(carried, runtime.GOOS, runtime.GOARCH) }, true
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

func (b Binary) build(ctx context.Context, root string) (source, error) {
	out := filepath.Join(b.BinDir, "build", "hodei-agent")
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		return nil, fmt.Errorf("cannot build hodei-agent: %w", err)
	}
	fmt.Fprintln(b.Progress, "building hodei-agent from source …")
	cmd := bundle.Build(ctx, root, out, runtime.GOOS, runtime.GOARCH, "")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build hodei-agent: %w\n%s", err, bytes.TrimSpace(said))
	}
	return file(out), nil
}

// keep copies the binary to where its digest names it, once.
func (b Binary) keep(from source) (string, error) {
	digest, err := digestOf(from)
	if err != nil {
		return "", fmt.Errorf("cannot read hodei-agent: %w", err)
	}
	kept := filepath.Join(b.BinDir, digest, "hodei-agent")
	if d, err := digestOf(file(kept)); err == nil && d == digest {
		return kept, nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return "", fmt.Errorf("cannot keep hodei-agent: %w", err)
	}
	if err := copyTo(kept, from); err != nil {
		return "", fmt.Errorf("cannot keep hodei-agent: %w", err)
	}
	return kept, nil
}

func digestOf(from source) (string, error) {
	f, err := from()
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

func copyTo(to string, from source) error {
	src, err := from()
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
