// Release makes a release: for each system a server that carries the agents for all
// of them, and the agents for machines of their own.
//
//	go run ./providers/process/bundle/release --version 0.1.0
//
//	OUT/hodei-linux-amd64         the server and command line, agents within
//	OUT/hodei-agent-linux-amd64   the agent alone
//	OUT/SHA256SUMS                digests of all of them
//
// The same source and the same Go give the same bytes. Nothing is written into the
// source: the compressed agents are laid over it for the build alone.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hodei-jobs/hodei/providers/process/bundle"
)

// versions are what a release may be called: Semantic Versioning without a v.
var versions = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var r release
	flag.StringVar(&r.version, "version", "", "such as 0.1.0; empty is a development version")
	flag.StringVar(&r.out, "out", "dist", "folder of what is made")
	systems := flag.String("systems", "linux/amd64,linux/arm64", "which systems, by commas")
	flag.Parse()
	r.systems = strings.Split(*systems, ",")
	if err := r.make(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error: "+err.Error())
		os.Exit(1)
	}
}

type release struct {
	version, out string
	systems      []string // linux/amd64

	root, work string // the source checkout, a folder that is removed
	made       []string
}

func (r *release) make(ctx context.Context) (err error) {
	if r.version != "" && !versions.MatchString(r.version) {
		return fmt.Errorf("--version is %q; a version looks like 0.1.0", r.version)
	}
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("cannot find the source checkout: %w", err)
	}
	r.root = filepath.Dir(strings.TrimSpace(string(gomod)))
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "hodei-release-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()

	overlay, err := r.agents(ctx)
	if err != nil {
		return err
	}
	for _, system := range r.systems {
		if err := r.server(ctx, system, overlay); err != nil {
			return err
		}
	}
	return r.sums()
}

// agents builds the agents and returns the file that lays them, compressed, over
// the source.
func (r *release) agents(ctx context.Context) (overlay string, err error) {
	laid := map[string]string{}
	for _, system := range r.systems {
		goos, goarch, _ := strings.Cut(system, "/")
		out := filepath.Join(r.out, bundle.Name(goos, goarch))
		if err := r.build(bundle.Build(ctx, r.root, out, goos, goarch, r.version), out); err != nil {
			return "", err
		}
		packed := filepath.Join(r.work, bundle.Name(goos, goarch))
		if err := pack(packed, out); err != nil {
			return "", fmt.Errorf("cannot compress %s: %w", out, err)
		}
		laid[filepath.Join(r.root, "providers", "process", "bundle", filepath.FromSlash(bundle.Path(goos, goarch)))] = packed
	}
	b, err := json.Marshal(map[string]any{"Replace": laid})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(r.work, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

func pack(to, from string) error {
	agent, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := bundle.Pack(&packed, bytes.NewReader(agent)); err != nil {
		return err
	}
	return os.WriteFile(to, packed.Bytes(), 0o600)
}

func (r *release) server(ctx context.Context, system, overlay string) error {
	goos, goarch, _ := strings.Cut(system, "/")
	out := filepath.Join(r.out, "hodei-"+goos+"-"+goarch)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-overlay", overlay, "-tags", "release,grpcnotrace",
		"-ldflags", bundle.Stamped(r.version), "-o", out, "./cmd/hodei")
	cmd.Dir, cmd.Env = r.root, bundle.Environment(goos, goarch)
	return r.build(cmd, out)
}

func (r *release) build(cmd *exec.Cmd, out string) error {
	fmt.Fprintln(os.Stderr, "building "+filepath.Base(out)+" …")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot build %s: %w", filepath.Base(out), err)
	}
	r.made = append(r.made, out)
	return nil
}

// sums writes the digests as sha256sum -c reads them.
func (r *release) sums() error {
	var lines strings.Builder
	for _, path := range r.made {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", h.Sum(nil), filepath.Base(path))
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(lines.String()), 0o644)
}
