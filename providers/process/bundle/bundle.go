// Package bundle holds the agents that a release of the server carries within it,
// so that one file is all that has to be copied to a machine. It also knows how an
// agent is built, for releases and for source checkouts alike.
//
// Only a server that was built with the tag release carries any; the program in
// release/ builds those and lays the compressed agents where they are embedded
// from. All functions are safe for concurrent use.
package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"

	"github.com/klauspost/compress/zstd"
)

// Folder is where agents are embedded from, below this package.
const Folder = "agents"

// suffix of a compressed agent. Frames end with a checksum, so that damage is
// found when one is read.
const suffix = ".zst"

// maxDecoder is the memory that reading an agent may take.
const maxDecoder = 64 << 20

// Name is what the agent for a system is called, such as hodei-agent-linux-amd64.
func Name(goos, goarch string) string { return "hodei-agent-" + goos + "-" + goarch }

// Path is where in an embedded file system the agent for a system is.
func Path(goos, goarch string) string { return Folder + "/" + Name(goos, goarch) + suffix }

// Agents are those that this server carries; without the tag release none.
func Agents() fs.FS { return agents }

// Open returns the agent for a system, uncompressed. The error is fs.ErrNotExist
// if there is none.
func Open(from fs.FS, goos, goarch string) (io.ReadCloser, error) {
	f, err := from.Open(Path(goos, goarch))
	if err != nil {
		return nil, err
	}
	d, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoder))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &reader{d.IOReadCloser(), f}, nil
}

// reader closes the file with its decoder.
type reader struct {
	io.ReadCloser
	file fs.File
}

func (r *reader) Close() error { return errors.Join(r.ReadCloser.Close(), r.file.Close()) }

// Pack writes an agent as it is embedded. The same agent gives the same bytes.
func Pack(w io.Writer, agent io.Reader) error {
	e, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	_, err = io.Copy(e, agent)
	return errors.Join(err, e.Close())
}

// Build is the command that builds the agent of the source checkout in root for a
// system: static, stripped, without what gRPC keeps for tracing. version is its
// stamp, none if it is empty.
func Build(ctx context.Context, root, out, goos, goarch, version string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", Stamped(version), "-o", out, "./cmd/hodei-agent")
	cmd.Dir = root
	cmd.Env = Environment(goos, goarch)
	return cmd
}

// Stamped are the flags of the linker for a stripped program of a version.
func Stamped(version string) string {
	flags := "-s -w"
	if version != "" {
		flags += " -X github.com/hodei-jobs/hodei/agentproto/build.stamp=" + version
	}
	return flags
}

// Environment is that of a build for a system.
func Environment(goos, goarch string) []string {
	return append(os.Environ(), "CGO_ENABLED=0", fmt.Sprintf("GOOS=%s", goos), fmt.Sprintf("GOARCH=%s", goarch))
}
