// Package ui is the dashboard: pages, scripts and styles that are built from web/
// and embedded here. It holds no state and asks nothing of the server but its files;
// the pages in them speak to the API as any other client.
//
// What is embedded is committed, so that the server is built without Node;
// tests fail when it is not what web/ gives.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed dist
var dist embed.FS

// Paths are what the handler answers, as net/http and echo both read them: the
// pages, whose addresses the dashboard itself tells apart, and what they load.
var Paths = []string{"/", "/jobs", "/jobs/*", "/workers", "/workers/*", "/queue", "/events", "/assets/*"}

// Policy is the Content-Security-Policy of every answer: files of the server's own
// and nothing else, nothing inline.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// cached is for files whose names change with what is in them.
const cached = "public, max-age=31536000, immutable"

// file is one file in both of its forms.
type file struct {
	kind  string
	cache string
	etag  string
	plain []byte
	small []byte // compressed, or nil if that does not pay
}

// load reads and compresses the files, once a process.
var load = sync.OnceValue(func() map[string]*file {
	files := map[string]*file{}
	err := fs.WalkDir(dist, "dist", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := dist.ReadFile(name)
		files[strings.TrimPrefix(name, "dist")] = newFile(name, b)
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("ui: what is embedded can't be read: %v", err)) // impossible: it is in memory
	}
	return files
})

func newFile(name string, b []byte) *file {
	sum := sha256.Sum256(b)
	f := &file{plain: b, kind: mime.TypeByExtension(path.Ext(name)), cache: "no-cache", etag: hex.EncodeToString(sum[:12])}
	if strings.HasPrefix(name, "dist/assets/") {
		f.cache = cached
	}
	var small bytes.Buffer
	w, _ := gzip.NewWriterLevel(&small, gzip.BestCompression) // the level is a valid one
	_, _ = w.Write(b)                                         // memory does not fail
	_ = w.Close()
	if small.Len() < len(b)*9/10 {
		f.small = small.Bytes()
	}
	return f
}

// Handler serves the dashboard at [Paths]. Any path that is not below /assets/ is
// answered with the one page, which finds out by itself what it is to show. Safe for
// concurrent use.
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	name := r.URL.Path
	if !strings.HasPrefix(name, "/assets/") {
		name = "/index.html"
	}
	f, ok := load()[name]
	if !ok {
		h.Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", f.cache)
	h.Set("Vary", "Accept-Encoding")
	body, etag := f.plain, `"`+f.etag+`"`
	if f.small != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, etag = f.small, `"`+f.etag+`-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // an error means that the client has left
	}
}

// acceptsGzip says whether an Accept-Encoding header names gzip and does not
// refuse it.
func acceptsGzip(header string) bool {
	for one := range strings.SplitSeq(header, ",") {
		name, rest, _ := strings.Cut(strings.TrimSpace(one), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(rest, " ", ""), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && weight > 0
	}
	return false
}
