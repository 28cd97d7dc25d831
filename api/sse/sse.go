// Package sse writes and reads server-sent events as the HTML standard defines
// them (text/event-stream). Whatever bytes are sent as data, they are the data of
// one event: a line end in them begins another line of data, never a field.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// Heartbeat is how long a stream may be silent before a comment is sent, well
	// below the 60 s after which proxies cut idle connections.
	Heartbeat = 15 * time.Second

	// WriteLimit is how long a client may take to accept one flush before it is
	// given up, so that a stopped reader does not hold a connection for ever.
	WriteLimit = 60 * time.Second

	idleBytes = 4 << 10 // kept by a stream that is quiet

	// MaxEvent is the longest event a Reader takes, in bytes.
	MaxEvent = 16 << 20
)

// Writer writes events to one client. It is not safe for concurrent use, but for
// Hurry.
type Writer struct {
	w   io.Writer
	rc  *http.ResponseController
	buf []byte

	mu    sync.Mutex
	limit time.Duration // of one flush; guarded by mu
}

// NewWriter begins an event stream on w. A flush may take WriteLimit.
func NewWriter(w http.ResponseWriter) *Writer { return NewLimitedWriter(w, WriteLimit) }

// NewLimitedWriter is NewWriter with another limit for a flush.
func NewLimitedWriter(w http.ResponseWriter, limit time.Duration) *Writer {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	return &Writer{w: w, rc: http.NewResponseController(w), limit: limit}
}

// Event queues an event. name and id may be empty; what follows a line end or NUL
// in them is left out. A reader gets each line end of data, be it \n, \r or both,
// as \n.
func (w *Writer) Event(name, id string, data []byte) {
	if name = line(name); name != "" {
		w.buf = append(append(append(w.buf, "event: "...), name...), '\n')
	}
	if id = line(id); id != "" {
		w.buf = append(append(append(w.buf, "id: "...), id...), '\n')
	}
	w.lines("data: ", data)
	w.buf = append(w.buf, '\n')
}

// Comment queues a comment, which readers pass over.
func (w *Writer) Comment(text string) {
	w.lines(": ", []byte(text))
	w.buf = append(w.buf, '\n')
}

func line(text string) string {
	if i := strings.IndexAny(text, "\r\n\x00"); i >= 0 {
		return text[:i]
	}
	return text
}

// lines writes each line of text behind a prefix.
func (w *Writer) lines(prefix string, text []byte) {
	for {
		end := bytes.IndexAny(text, "\r\n")
		if end < 0 {
			break
		}
		w.buf = append(append(append(w.buf, prefix...), text[:end]...), '\n')
		if text[end] == '\r' && end+1 < len(text) && text[end+1] == '\n' {
			end++
		}
		text = text[end+1:]
	}
	w.buf = append(append(append(w.buf, prefix...), text...), '\n')
}

// Buffered returns the bytes queued since the last Flush.
func (w *Writer) Buffered() int { return len(w.buf) }

// Idle gives memory back that a stream which is quiet does not need.
func (w *Writer) Idle() {
	if cap(w.buf) > idleBytes && len(w.buf) == 0 {
		w.buf = nil
	}
}

// Flush sends what was queued. An error means that the client is gone.
func (w *Writer) Flush() error {
	w.mu.Lock()
	err := w.allow()
	w.mu.Unlock()
	if err != nil {
		return err
	}
	if len(w.buf) > 0 {
		_, err := w.w.Write(w.buf)
		w.buf = w.buf[:0]
		if err != nil {
			return err
		}
	}
	return w.rc.Flush()
}

// Hurry gives the flush that is under way, and all after it, no longer than limit
// to be accepted; a longer limit than before changes nothing. Safe for concurrent
// use until the handler returns.
func (w *Writer) Hurry(limit time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = min(w.limit, limit)
	return w.allow()
}

// allow sets the deadline of what is written next. w.mu is held.
func (w *Writer) allow() error {
	err := w.rc.SetWriteDeadline(time.Now().Add(w.limit))
	if errors.Is(err, http.ErrNotSupported) { // a test's recorder
		return nil
	}
	return err
}

// Event is one event as it was read.
type Event struct {
	Name string // message if none was given
	ID   string // the last id seen on the stream
	Data []byte // valid until the next call
}

// Reader reads events. It takes lines that end with \n or \r\n, as all servers
// send them. It is not safe for concurrent use.
type Reader struct {
	r    *bufio.Reader
	id   string
	data []byte
	line []byte
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

var errTooLong = errors.New("event stream: an event is longer than " + strconv.Itoa(MaxEvent) + " bytes")

// Next returns the next event, passing over comments and fields it does not know.
// At the end of the stream it returns io.EOF; an event cut off by the end is
// dropped. Other errors are those of reading, or that an event is too long.
func (r *Reader) Next() (Event, error) {
	name, seen := "", false
	r.data = r.data[:0]
	for {
		line, err := r.readLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if seen {
				if name == "" {
					name = "message"
				}
				return Event{Name: name, ID: r.id, Data: r.data}, nil
			}
			name = ""
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				r.id = string(value)
			}
		case "data":
			if len(r.data)+len(value) >= MaxEvent {
				return Event{}, errTooLong
			}
			if seen {
				r.data = append(r.data, '\n')
			}
			r.data, seen = append(r.data, value...), true
		}
	}
}

// readLine returns the next line without its end, valid until the next call.
func (r *Reader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.r.ReadSlice('\n')
		if err == nil && len(r.line) == 0 {
			return withoutEnd(part), nil
		}
		if len(r.line)+len(part) > MaxEvent {
			return nil, errTooLong
		}
		r.line = append(r.line, part...)
		switch {
		case err == nil:
			return withoutEnd(r.line), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func withoutEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}
