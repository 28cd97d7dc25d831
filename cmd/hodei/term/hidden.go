package term

import (
	"context"
	"os"

	xterm "golang.org/x/term"
)

// ReadHidden reads a line from a terminal without showing what is typed. ask is
// called before. What is no terminal is not read, and asked is false. If ctx ends
// first the terminal is as it was before, and the error is ctx's; the process
// must end then, for the line is still being read.
func ReadHidden(ctx context.Context, f *os.File, ask func()) (line []byte, asked bool, err error) {
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
	read := make(chan answer, 1)
	go func() {
		line, err := xterm.ReadPassword(fd)
		read <- answer{line, err}
	}()
	select {
	case a := <-read:
		return a.line, true, a.err
	case <-ctx.Done():
		_ = xterm.Restore(fd, before)
		return nil, true, ctx.Err()
	}
}
