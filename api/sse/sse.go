// Package sse writes and reads server-sent events as the HTML standard defines
// them (text/event-stream). Data is always one line: the callers send JSON,
// whose encoding has no line ends, so that foreign bytes can't forge events.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Heartbeat is how long a stream may be silent before a comment is sent, well
// below the 60 s after which proxies cut idle connections.
const Heartbeat = 15 * time.Second

// Writer writes events to one client. It is not safe for concurrent use.
type Writer struct {
	w   io.Writer
	rc  *http.ResponseController
	buf []byte
}

// WriteLimit is how long a client may take to accept one flush before it is
// given up, so that a stopped reader does not hold a connection for ever.
const WriteLimit = 60 * time.Second

// NewWriter begins an event stream on w.
func NewWriter(w http.ResponseWriter) *Writer {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	return &Writer{w: w, rc: http.NewResponseController(w)}
}

// Event queues an event. name and id may be empty; data must have no line end.
func (w *Writer) Event(name, id string, data []byte) {
	if name != "" {
		w.buf = append(append(append(w.buf, "event: "...), name...), '\n')
	}
	if id != "" {
		w.buf = append(append(append(w.buf, "id: "...), id...), '\n')
	}
	w.buf = append(append(append(w.buf, "data: "...), data...), '\n', '\n')
}

// Comment queues a comment, which readers pass over.
func (w *Writer) Comment(text string) {
	w.buf = append(append(append(w.buf, ": "...), text...), '\n', '\n')
}

// Retry queues the time a client shall wait before it connects again.
func (w *Writer) Retry(d time.Duration) {
	w.buf = append(strconv.AppendInt(append(w.buf, "retry: "...), d.Milliseconds(), 10), '\n', '\n')
}

// Buffered returns the bytes queued since the last Flush.
func (w *Writer) Buffered() int { return len(w.buf) }

// Flush sends what was queued. An error means that the client is gone.
func (w *Writer) Flush() error {
	if len(w.buf) == 0 {
		return w.rc.Flush()
	}
	// A writer without deadlines (a test's recorder) still works.
	if err := w.rc.SetWriteDeadline(time.Now().Add(WriteLimit)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	if err != nil {
		return err
	}
	return w.rc.Flush()
}

// MaxEvent is the longest event a Reader takes, in bytes.
const MaxEvent = 16 << 20

// Event is one event as it was read.
type Event struct {
	Name string // message if none was given
	ID   string // the last id seen on the stream
	Data []byte // valid until the next call
}

// Reader reads events. It is not safe for concurrent use.
type Reader struct {
	r    *bufio.Reader
	id   string
	data []byte
	line []byte
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// Next returns the next event, passing over comments. At the end of the stream
// it returns io.EOF; an event cut off by the end is dropped.
func (r *Reader) Next() (Event, error) {
	e := Event{Name: "message"}
	r.data = r.data[:0]
	seen := false
	for {
		line, err := r.readLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if !seen {
				continue
			}
			e.ID, e.Data = r.id, r.data
			return e, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.Name = string(value)
		case "id":
			r.id = string(value)
		case "data":
			if seen {
				r.data = append(r.data, '\n')
			}
			if len(r.data)+len(value) > MaxEvent {
				return Event{}, errTooLong
			}
			r.data, seen = append(r.data, value...), true
		}
	}
}

var errTooLong = errors.New("event stream: an event is longer than " + strconv.Itoa(MaxEvent) + " bytes")

func (r *Reader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.r.ReadSlice('\n')
		if len(r.line)+len(part) > MaxEvent {
			return nil, errTooLong
		}
		if err == nil && len(r.line) == 0 {
			return bytes.TrimRight(part, "\r\n"), nil
		}
		r.line = append(r.line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(r.line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
