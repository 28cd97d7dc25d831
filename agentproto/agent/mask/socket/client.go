package socket

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Mask asks the agent at a path, which Variable holds, to mask a secret: any
// bytes, [mask.MaxSecret] at most. It returns once the secret is masked, with the
// kinds of forms that are too short in part to be sought. The error is a
// *NotMaskedError if the agent has refused, or says why there was no answer. It
// waits 30 seconds, or until ctx ends if that is sooner.
func Mask(ctx context.Context, path string, secret []byte) (unused []string, err error) {
	message, err := request(secret)
	if err != nil {
		return nil, err
	}
	defer clear(message)
	short, release, err := reach(path)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the agent: %w", err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the agent: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() {
		// Only ends the wait, so there is nothing to do if it can't.
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
	defer stop()
	if _, err := conn.Write(message); err != nil {
		return nil, fmt.Errorf("cannot ask the agent: %w", err)
	}
	return receiveAnswer(conn)
}

func receiveAnswer(conn io.Reader) (unused []string, err error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, fmt.Errorf("the agent gave no answer: %w", err)
	}
	length := binary.BigEndian.Uint16(head[1:])
	if length > maxAnswer {
		return nil, fmt.Errorf("the agent's answer has %d bytes, at most %d", length, maxAnswer)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(conn, text); err != nil {
		return nil, fmt.Errorf("the agent's answer is cut off: %w", err)
	}
	switch {
	case head[0] == statusNotMasked:
		return nil, &NotMaskedError{string(text)}
	case head[0] != statusMasked:
		return nil, fmt.Errorf("the agent's answer has status %d, which is unknown", head[0])
	case length == 0:
		return nil, nil
	}
	return strings.Split(string(text), "\n"), nil
}
