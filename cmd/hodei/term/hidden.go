package term

import (
	"bufio"
	"context"
	"io"
	"os"

	xterm "golang.org/x/term"
)

// ReadHidden reads a line from a terminal without showing what is typed. ask is
// called before. What is no terminal is not read, and asked is false. If ctx ends
// first the terminal is as it was before, and the error is ctx's; the process
// must end then, for the line is still being read.
func ReadHidden(ctx context.Context, f *os.File, ask func()) (line []byte, asked bool, err error) {
	return read(ctx, f, ask, func() ([]byte, error) { return xterm.ReadPassword(int(f.Fd())) })
}

// maxLine is the longest answer that is read from a terminal, in bytes.
const maxLine = 4096

// ReadLine reads a line from a terminal as ReadHidden does, and shows what is typed.
func ReadLine(ctx context.Context, f *os.File, ask func()) (line []byte, asked bool, err error) {
	return read(ctx, f, ask, func() ([]byte, error) {
		return bufio.NewReaderSize(io.LimitReader(f, maxLine), maxLine).ReadBytes('\n')
	})
}

// IsTerminal says whether a file is a terminal.
func IsTerminal(f *os.File) bool { return xterm.IsTerminal(int(f.Fd())) }

func read(ctx context.Context, f *os.File, ask func(), read func() ([]byte, error)) (line []byte, asked bool, err error) {
	fd := int(f.Fd())
	before, err := xterm.GetState(fd)
	if err != nil {
		return nil, false, nil
	}
	ask()
	type answer struct {
		line []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		line, err := read()
		answered <- answer{line, err}
	}()
	select {
	case a := <-answered:
		return a.line, true, a.err
	case <-ctx.Done():
		_ = xterm.Restore(fd, before)
		return nil, true, ctx.Err()
	}
}
