package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
)

// compressFrom is the least bytes of an answer that is compressed.
const compressFrom = 1 << 10

// economical wraps the API so that what a client has already is not sent again,
// and the rest is compressed if the client can read that. Only answers to GET, and
// only JSON: what streams is sent as it comes, and an answer that holds a secret is
// none to GET.
func economical(h http.Handler) http.Handler {
	reads := compressed(conditional(h))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			reads(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// compressed compresses JSON; its options are constants, and right.
var compressed = func() func(http.Handler) http.HandlerFunc {
	wrapper, err := gzhttp.NewWrapper(gzhttp.MinSize(compressFrom), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.ContentTypes([]string{jsonType}))
	if err != nil {
		panic(err)
	}
	return wrapper
}()

// conditional gives each JSON answer an ETag, that of its bytes, and answers 304 if
// the client has them.
func conditional(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &tagged{ResponseWriter: w, has: r.Header.Values("If-None-Match")}
		h.ServeHTTP(t, r)
		t.finish()
	})
}

// tagged holds an answer back until it is whole, if it is JSON.
type tagged struct {
	http.ResponseWriter
	has  []string // what the client has
	held []byte
	mode tagMode
}

type tagMode uint8

const (
	undecided tagMode = iota
	holding
	passing
)

func (t *tagged) WriteHeader(status int) {
	h := t.Header()
	switch {
	case t.mode != undecided:
		return
	case status == http.StatusOK && h.Get("Content-Type") == jsonType && h.Get("ETag") == "":
		t.mode = holding
	default:
		if status >= http.StatusOK {
			t.mode = passing
		}
		t.ResponseWriter.WriteHeader(status)
	}
}

func (t *tagged) Write(b []byte) (int, error) {
	if t.mode == undecided {
		t.WriteHeader(http.StatusOK)
	}
	if t.mode == holding {
		t.held = append(t.held, b...)
		return len(b), nil
	}
	return t.ResponseWriter.Write(b)
}

// FlushError sends on what was held: an answer that is sent in parts has no tag.
func (t *tagged) FlushError() error {
	if t.mode == holding {
		t.mode = passing
		t.ResponseWriter.WriteHeader(http.StatusOK)
		if _, err := t.ResponseWriter.Write(t.held); err != nil {
			return err
		}
		t.held = nil
	}
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (t *tagged) Flush() { _ = t.FlushError() } // an error means that the client has left

// Unwrap is for http.ResponseController.
func (t *tagged) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tagged) finish() {
	if t.mode != holding {
		return
	}
	sum := sha256.Sum256(t.held)
	tag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h := t.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "private, no-cache") // kept, and asked for again each time
	if slices.ContainsFunc(t.has, func(list string) bool { return list == "*" || strings.Contains(list, tag[2:]) }) {
		h.Del("Content-Type")
		h.Del("Content-Length")
		t.ResponseWriter.WriteHeader(http.StatusNotModified)
		return
	}
	t.ResponseWriter.WriteHeader(http.StatusOK)
	_, _ = t.ResponseWriter.Write(t.held) // an error means that the client has left
}
