// Package socket lets the steps of a job add secrets to what is masked, while
// they run: over a socket of the attempt, never through their output, which would
// show what it is about to hide.
//
// The socket lies in a folder that only the attempt's user may enter; its path is
// in the environment of the steps, as [Variable]. A connection carries one secret
// and one answer. Numbers are big-endian.
//
//	step  ─▶ agent   length (4 bytes), the secret: any bytes
//	agent ─▶ step    status (1 byte), length (2 bytes), text
//
// Of a secret that is masked the text names, a line each, the kinds of forms that
// are too short in part to be sought; otherwise it says why it is not masked.
// Once the answer is there, every byte that the agent reads from then on is masked.
//
// Whoever is at the other end may be hostile: it gets 5 seconds, so much memory as
// a secret may have, and one of 8 places; others wait outside. After 20,000
// connections there are no more than 10 a second.
package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
)

const (
	// Variable names the environment variable that holds the socket's path.
	Variable = "HODEI_AGENT_SOCKET"

	name = "mask.sock"

	// maxConnections is how many are served at once. Others wait to be accepted.
	maxConnections = 8
	// maxRequests is how many secrets an attempt may send, those that are known or
	// refused included.
	maxRequests = 20_000
	// maxAnswer is how many bytes of text an answer has at most.
	maxAnswer = 1024
	// serveLimit is how long a connection may take.
	serveLimit = 5 * time.Second
	// askLimit is how long a step waits for the answer, if its context says nothing:
	// longer than those before it may take.
	askLimit = 30 * time.Second
	// acceptPause is how long to wait when nothing can be accepted, as when there
	// are no file descriptors left, and before each connection beyond maxRequests.
	acceptPause = 100 * time.Millisecond
	// maxPath is how long the path of a socket may be for the kernel, which keeps
	// it in 108 bytes, the last of them zero.
	maxPath = 107

	lengthBytes = 4
	headBytes   = 3
)

const (
	statusMasked    = 0
	statusNotMasked = 1
)

// NotMaskedError says why a secret is not masked.
type NotMaskedError struct{ Reason string }

func (e *NotMaskedError) Error() string { return "not masked: " + e.Reason }

var errTooMany = errors.New("this attempt has asked 20,000 times already")

// request is the bytes that ask for a secret to be masked.
func request(secret []byte) ([]byte, error) {
	if len(secret) > mask.MaxSecret {
		return nil, &NotMaskedError{mask.ErrLong.Error()}
	}
	out := binary.BigEndian.AppendUint32(make([]byte, 0, lengthBytes+len(secret)), uint32(len(secret)))
	return append(out, secret...), nil
}

// answer is the bytes that say what became of it.
func answer(status byte, text string) []byte {
	text = text[:min(len(text), maxAnswer)]
	out := binary.BigEndian.AppendUint16([]byte{status}, uint16(len(text)))
	return append(out, text...)
}

// reach gives a way to the path that is short enough for the kernel: a longer one
// goes through the descriptor of its folder, which stays open until release.
func reach(path string) (short string, release func(), err error) {
	if !filepath.IsAbs(path) {
		return "", nil, fmt.Errorf("the path of the socket is not absolute: %q", path)
	}
	if len(path) <= maxPath {
		return path, func() {}, nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path))
	if len(short) > maxPath {
		folder.Close()
		return "", nil, fmt.Errorf("the name of the socket has %d bytes, which is too long", len(filepath.Base(path)))
	}
	return short, func() { folder.Close() }, nil
}
