package term

import (
	"os"

	xterm "golang.org/x/term"
)

// ReadHidden reads a line from a terminal without showing what is typed. ask is
// called before. What is no terminal is not read, and asked is false.
func ReadHidden(f *os.File, ask func()) (line []byte, asked bool, err error) {
	if !xterm.IsTerminal(int(f.Fd())) {
		return nil, false, nil
	}
	ask()
	line, err = xterm.ReadPassword(int(f.Fd()))
	return line, true, err
}
