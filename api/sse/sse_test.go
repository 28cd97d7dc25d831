package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hodei-jobs/hodei/api/sse"
)

// read returns all events of a stream as name|id|data, and how it ended.
func read(r io.Reader) (out []string, err error) {
	for s := sse.NewReader(r); ; {
		e, err := s.Next()
		if err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("%s|%s|%s", e.Name, e.ID, e.Data))
	}
}

func TestReader(t *testing.T) {
	for _, row := range []struct {
		name, stream string
		want         []string
	}{
		{"nothing", "", nil},
		{"data alone", "data: a\n\n", []string{"message||a"}},
		{"all fields", "event: state\nid: 7\ndata: a\n\n", []string{"state|7|a"}},
		{"an id stays until there is another", "id: 7\ndata: a\n\ndata: b\n\nid: 8\ndata: c\n\n", []string{"message|7|a", "message|7|b", "message|8|c"}},
		{"an id of nothing takes it away", "id: 7\ndata: a\n\nid\ndata: b\n\n", []string{"message|7|a", "message||b"}},
		{"an id without data counts", "id: 7\n\ndata: b\n\n", []string{"message|7|b"}},
		{"an id with a NUL does not", "id: 7\ndata: a\n\nid: 8\x00\ndata: b\n\n", []string{"message|7|a", "message|7|b"}},
		{"a name without data is forgotten", "event: state\n\ndata: a\n\n", []string{"message||a"}},
		{"several lines of data", "data: a\ndata:\ndata: b\n\n", []string{"message||a\n\nb"}},
		{"data of nothing", "data\n\n", []string{"message||"}},
		{"no space, and more than one", "data:a\ndata:  b\n\n", []string{"message||a\n b"}},
		{"comments and unknown fields", ": hello\nretry: 5\nfoo: bar\n:\ndata: a\n\n", []string{"message||a"}},
		{"lines that end as on Windows", "event: e\r\ndata: a\r\n\r\n", []string{"e||a"}},
		{"an event that was cut off", "data: a\n\ndata: b\n", []string{"message||a"}},
		{"a line that was cut off", "data: a\n\ndata: b", []string{"message||a"}},
		{"a line longer than the buffer", "data: " + strings.Repeat("x", 200_000) + "\n\ndata: a\n\n", []string{"message||" + strings.Repeat("x", 200_000), "message||a"}},
	} {
		for how, r := range map[string]io.Reader{"at once": strings.NewReader(row.stream), "byte by byte": iotest.OneByteReader(strings.NewReader(row.stream))} {
			if got, err := read(r); !slices.Equal(got, row.want) || !errors.Is(err, io.EOF) {
				t.Errorf("%s, %s: %.300q, %v", row.name, how, got, err)
			}
		}
	}
}

// An endless event is not gathered for ever.
func TestReaderRefusesAnEndlessEvent(t *testing.T) {
	for name, piece := range map[string]string{"a line": "x", "lines": "data: " + strings.Repeat("x", 1000) + "\n"} {
		stream := io.MultiReader(strings.NewReader("data: "), &endless{piece: piece})
		if _, err := read(stream); err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type endless struct {
	piece string
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.piece[e.at%len(e.piece)]
		e.at++
	}
	return len(p), nil
}

func TestWriter(t *testing.T) {
	rec := httptest.NewRecorder()
	w := sse.NewWriter(rec)
	w.Event("state", "7", []byte(`{"a":1}`))
	w.Comment("")
	w.Event("", "", []byte("a"))
	if rec.Body.Len() > 0 || w.Buffered() == 0 {
		t.Error("it was sent before it was flushed")
	}
	if err := w.Flush(); err != nil || w.Buffered() != 0 || !rec.Flushed {
		t.Error(err)
	}
	if want := "event: state\nid: 7\ndata: {\"a\":1}\n\n: \n\ndata: a\n\n"; rec.Body.String() != want {
		t.Errorf("%q", rec.Body)
	}
	if h := rec.Header(); h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", h)
	}
}

// What is written is read: one event, whatever its bytes.
func FuzzWhatIsWrittenIsRead(f *testing.F) {
	for _, seed := range []string{"", "a", "a\nb", "\n\n", "\r", "a\r\n\r\nid: 9\n\n", "data: x\n\nevent: forged\ndata: y\n\n", "\x00\xff", "\ufeff", ": c", "a\n\r\nb"} {
		f.Add("state", "7", []byte(seed))
		f.Add(seed, seed, []byte("data"))
	}
	f.Fuzz(func(t *testing.T, name, id string, data []byte) {
		rec := httptest.NewRecorder()
		w := sse.NewWriter(rec)
		w.Event("first", "1", []byte("before"))
		w.Event(name, id, data)
		w.Comment(string(data))
		w.Event("last", "2", []byte("after"))
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		r := sse.NewReader(rec.Body)
		want := bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
		for i, expected := range []sse.Event{{Name: "first", ID: "1", Data: []byte("before")}, {Name: oneLine(name, "message"), ID: oneLine(id, "1"), Data: want}, {Name: "last", ID: "2", Data: []byte("after")}} {
			got, err := r.Next()
			if err != nil || got.Name != expected.Name || got.ID != expected.ID || !bytes.Equal(got.Data, expected.Data) {
				t.Fatalf("event %d is read as %q, %v", i, got, err)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("there is another event: %v", err)
		}
	})
}

func oneLine(text, otherwise string) string {
	if i := strings.IndexAny(text, "\r\n\x00"); i >= 0 {
		text = text[:i]
	}
	if text == "" {
		return otherwise
	}
	return text
}

// Any bytes at all are read without harm.
func FuzzReader(f *testing.F) {
	f.Add([]byte("event: a\nid: 1\ndata: x\n\n"))
	f.Add([]byte("data\n\n\r\n:\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, err := read(bytes.NewReader(stream))
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if pieces, _ := read(iotest.OneByteReader(bytes.NewReader(stream))); !slices.Equal(whole, pieces) {
			t.Fatalf("at once %q, byte by byte %q", whole, pieces)
		}
	})
}
