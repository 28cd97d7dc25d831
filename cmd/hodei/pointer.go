package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxPointers  = 16                     // servers of hodei dev that are remembered
	listensLimit = 500 * time.Millisecond // for a server on this machine to take a connection
)

// pointer is a hodei dev as the user's configuration folder knows it: where it
// listens, and the file beside its data with its own token. The folder has a list
// of them, the one started last first, and as a file of its own the token of that
// one. Of one that has ended and has no other behind it, the token stays and the
// URL is empty: it says whose token lies there.
type pointer struct{ url, tokenFile string }

// readPointers returns the list of a folder; two lines each.
func readPointers(dir string) (list []pointer) {
	b, err := os.ReadFile(filepath.Join(dir, serverName))
	if err != nil {
		return nil
	}
	lines := strings.Split(string(b), "\n")
	for i := 0; i+1 < len(lines) && len(list) < maxPointers; i += 2 {
		if p := (pointer{strings.TrimSpace(lines[i]), strings.TrimSpace(lines[i+1])}); p != (pointer{}) {
			list = append(list, p)
		}
	}
	return list
}

// readPointer returns the one that was started last; empty if none is known.
func readPointer(dir string) pointer {
	if list := readPointers(dir); len(list) > 0 {
		return list[0]
	}
	return pointer{}
}

func writePointers(dir string, list []pointer) error {
	var lines []string
	for _, p := range list[:min(len(list), maxPointers)] {
		lines = append(lines, p.url, p.tokenFile)
	}
	return keep(filepath.Join(dir, serverName), strings.Join(lines, "\n"))
}

// set makes the folder point here, with the token this server accepts. It returns
// the server that the folder pointed at before, if that still listens, and where a
// token was put that was no server's of ours.
func (p pointer) set(dir string) (was pointer, kept string, err error) {
	err = locked(dir, func() error {
		others := slices.DeleteFunc(readPointers(dir), func(o pointer) bool { return o.tokenFile == p.tokenFile })
		if kept, err = p.setToken(dir, others); err != nil {
			return err
		}
		others = slices.DeleteFunc(others, func(o pointer) bool { return o.url == p.url || !o.listens() })
		if len(others) > 0 {
			was = others[0]
		}
		return writePointers(dir, append([]pointer{p}, others...))
	})
	if err != nil {
		err = &exitError{code: exitRefused, err: fmt.Errorf("cannot keep the server's address and token in %s: %s", dir, reason(err)), help: "set HODEI_CONFIG_DIR to a folder that can be written"}
	}
	return was, kept, err
}

// setToken puts a copy of the server's token into the folder. A token that is
// neither this server's nor another's of the list was put there by somebody: it is
// moved out of the way.
func (p pointer) setToken(dir string, others []pointer) (kept string, err error) {
	path := filepath.Join(dir, tokenName)
	mine, there := readLine(p.tokenFile), readLine(path)
	known := slices.ContainsFunc(others, func(o pointer) bool { return readLine(o.tokenFile) == there })
	if there != "" && there != mine && !known {
		kept = path + ".before"
		if err := os.Rename(path, kept); err != nil {
			return "", err
		}
	}
	return kept, keep(path, mine)
}

// clear takes this server off the list. If it was the one started last, the one
// before it that still listens takes its place, with its token.
func (p pointer) clear(dir string) {
	_ = locked(dir, func() error { // what is left is refused a connection, and says where
		list := readPointers(dir)
		at := slices.Index(list, p)
		if at < 0 {
			return nil
		}
		list = slices.Delete(list, at, at+1)
		if at > 0 {
			return writePointers(dir, list)
		}
		list = slices.DeleteFunc(list, func(o pointer) bool { return !o.listens() || readLine(o.tokenFile) == "" })
		if len(list) == 0 {
			return writePointers(dir, []pointer{{tokenFile: p.tokenFile}})
		}
		if path := filepath.Join(dir, tokenName); readLine(path) == readLine(p.tokenFile) {
			if err := keep(path, readLine(list[0].tokenFile)); err != nil {
				return err
			}
		}
		return writePointers(dir, list)
	})
}

// listens says whether something takes connections where the server was.
func (p pointer) listens() bool {
	u, err := url.Parse(p.url)
	if err != nil || u.Host == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), listensLimit)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// locked runs fn while no other hodei dev changes the folder.
func locked(dir string, fn func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX) // where a folder can't be locked, two that start at once may forget one
	return fn()
}
