package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// localChecks are about the server's machine, if this is it. running says whether
// the server answers.
func (a *app) localChecks(ctx context.Context, f *doctorFlags, running bool) []check {
	folder, named := f.folder()
	if folder == "" {
		return nil
	}
	checks := []check{dataCheck(folder, running)}
	if checks[0].State == checkWrong {
		return checks
	}
	checks = append(checks, diskCheck(folder), keyCheck(folder+".key"))
	if !running {
		return append(checks, portCheck(ctx, "http", f.http), portCheck(ctx, "grpc", f.grpc))
	}
	if named || listens(ctx, f.grpc) {
		checks = append(checks, a.certificateCheck(ctx, f.grpc))
	}
	return checks
}

// dataCheck is about the folder and who has it open.
func dataCheck(folder string, running bool) check {
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return check{"data", checkWrong, fmt.Sprintf("cannot look at %s: %s", short(folder), reason(err)), "name the folder: --data FOLDER"}
	case !info.IsDir():
		return check{"data", checkWrong, short(folder) + " is no folder", "name the folder: --data FOLDER"}
	case unix.Access(folder, unix.W_OK) != nil:
		return check{"data", checkWrong, short(folder) + " can't be written by this user", "look as the server's user"}
	}
	holder, known := lockHolder(filepath.Join(folder, "events", "log", "LOCK"))
	switch {
	case holder != 0:
		return check{"data", checkOK, fmt.Sprintf("%s, open in process %d", short(folder), holder), ""}
	case known && running:
		return check{"data", checkLook, short(folder) + " is open in no process: the server that answers has another", "name its folder: --data FOLDER"}
	}
	return check{"data", checkOK, short(folder) + ", open in no process", ""}
}

// lockHolder returns the process that has a file locked, as the kernel tells it; known
// says whether it tells. To try the lock could keep a server from its start.
func lockHolder(path string) (pid int, known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.ReadFile("/proc/locks")
	if !ok || err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(locks)) {
		// 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
		var number int
		var kind, how, mode, place string
		if n, _ := fmt.Sscan(strings.Replace(line, ":", " ", 1), &number, &kind, &how, &mode, &pid, &place); n != 6 || kind != "FLOCK" {
			continue
		}
		if at := strings.LastIndexByte(place, ':'); place[at+1:] == fmt.Sprint(stat.Ino) {
			return pid, true
		}
	}
	return 0, true
}

// diskCheck is about the room where the data is.
func diskCheck(folder string) check {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return check{"disk", checkWrong, fmt.Sprintf("cannot look at the disk of %s: %s", short(folder), reason(err)), ""}
	}
	free, all := fs.Bavail*uint64(fs.Bsize), fs.Blocks*uint64(fs.Bsize)
	text := fmt.Sprintf("%s of %s free", bytesOf(free), bytesOf(all))
	const help = "make room, or keep less output: hodei server --log-keep 90d --log-keep-bytes 10Gi"
	switch {
	case free < minDiskFree:
		return check{"disk", checkWrong, text + ": soon no job is taken", help}
	case free*100 < all*minDiskFreePart:
		return check{"disk", checkLook, text, help}
	}
	return check{"disk", checkOK, text, ""}
}

// keyCheck is about the key that wraps all others.
func keyCheck(path string) check {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return check{"key", checkLook, short(path) + " is not there", "a server with --key-file has it elsewhere; without it the data can't be opened"}
	case err != nil:
		return check{"key", checkWrong, fmt.Sprintf("cannot look at %s: %s", short(path), reason(err)), ""}
	case info.Mode().Perm()&0o077 != 0:
		return check{"key", checkWrong, fmt.Sprintf("%s can be read by others (%#o)", short(path), info.Mode().Perm()), "chmod 600 " + short(path)}
	}
	return check{"key", checkOK, short(path) + ", its owner's alone", ""}
}

// portCheck says whether a server could listen at an address.
func portCheck(ctx context.Context, name, address string) check {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", address)
	if err != nil {
		return check{name, checkWrong, fmt.Sprintf("a server can't listen on %s: %s", address, reason(err)), "end what listens there, or name another: hodei server --" + name + " ADDRESS"}
	}
	_ = l.Close()
	return check{name, checkOK, address + " is free", ""}
}

func listens(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: doctorPatience}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// certificateCheck looks at the certificate that workers are shown. Whose it is they
// check themselves, by the pin in their tokens.
func (a *app) certificateCheck(ctx context.Context, address string) check {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13}} //nolint:gosec // nothing is sent
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return check{"grpc", checkWrong, fmt.Sprintf("workers can't connect to %s: %s", address, reason(err)), "name the address: --grpc ADDRESS"}
	}
	defer func() { _ = conn.Close() }()
	shown := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(shown) == 0 {
		return check{"grpc", checkWrong, address + " shows no certificate", ""}
	}
	left := time.Until(shown[0].NotAfter)
	text := fmt.Sprintf("%s, its certificate ends in %s", address, age(left))
	switch {
	case left <= 0:
		return check{"grpc", checkWrong, fmt.Sprintf("%s, its certificate ended %s ago: no worker can connect", address, age(-left)), "renew the one that --tls-cert names, or start the server again"}
	case left < minCertLeft:
		return check{"grpc", checkLook, text, "renew the one that --tls-cert names; its own the server renews"}
	}
	return check{"grpc", checkOK, text, ""}
}
