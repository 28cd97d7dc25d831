package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// pointer is what a hodei dev that runs leaves in the user's configuration folder
// for the other commands: where it listens, and the file that holds its token.
// The token itself lies beside the server's data, so that a second server takes
// nothing away from the first.
type pointer struct{ url, tokenFile string }

// readPointer returns what the folder points at; empty fields if at nothing.
func readPointer(dir string) pointer {
	b, err := os.ReadFile(filepath.Join(dir, serverName))
	if err != nil {
		return pointer{}
	}
	url, rest, _ := strings.Cut(string(b), "\n")
	tokenFile, _, _ := strings.Cut(rest, "\n")
	return pointer{strings.TrimSpace(url), strings.TrimSpace(tokenFile)}
}

// set makes the folder point here and returns where it pointed before.
func (p pointer) set(dir string) (was pointer, err error) {
	was = readPointer(dir)
	if err := keep(filepath.Join(dir, serverName), p.url+"\n"+p.tokenFile); err != nil {
		return was, &exitError{code: exitRefused, err: fmt.Errorf("cannot keep the server's address in %s: %s", dir, reason(err)), help: "set HODEI_CONFIG_DIR to a folder that can be written"}
	}
	return was, nil
}

// clear takes the pointer away, unless the folder points at another by now.
func (p pointer) clear(dir string) {
	if readPointer(dir) == p {
		_ = os.Remove(filepath.Join(dir, serverName)) // one that is left is refused a connection, and says where
	}
}
