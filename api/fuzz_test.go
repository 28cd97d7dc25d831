package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// impatient is a client that leaves as soon as an event stream has begun.
type impatient struct {
	*httptest.ResponseRecorder
	leave func()
}

func (w impatient) WriteHeader(status int) {
	w.ResponseRecorder.WriteHeader(status)
	if w.Header().Get("Content-Type") == streamType {
		w.leave()
	}
}

func (w impatient) Unwrap() http.ResponseWriter { return w.ResponseRecorder }

// Whatever is sent, it is answered, and a refusal is a problem of the sender: never
// a failure of the server's, and never with a text from inside.
func FuzzRequests(f *testing.F) {
	s := newSite(f)
	plain := s.token("default", token.Admin)
	j := s.submit(s.admin(), `{"command":"true"}`)
	s.run(j.ID, 1, "output\n", succeeded())
	all := routes(s.document)
	for i := range all {
		f.Add(uint8(i), j.ID, "", []byte(`{"command":"true"}`), jsonType, "*/*", "")
		f.Add(uint8(i), j.ID, "limit=1&cursor=5", []byte(`{"jobs":[{"command":"true"}]}`), jsonType, streamType, logID(1, 3))
		f.Add(uint8(i), "..", "attempt=1&order=desc&state=failed&type=JobBound&stream=job", []byte(`{"reason":"x"}`), "application/x+json", "text/html", "1")
		f.Add(uint8(i), "%00\xff", "a=%zz;b&&=", []byte("\x00{"), "multipart/form-data; boundary=x", "application/cbor", "-1")
		f.Add(uint8(i), strings.Repeat("a", 300), "limit=99999999999999999999", []byte(nil), "\x00", "", "18446744073709551615")
	}
	f.Fuzz(func(t *testing.T, route uint8, id, query string, body []byte, contentType, accept, lastID string) {
		method, path, _ := strings.Cut(all[int(route)%len(all)], " ")
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		r := httptest.NewRequestWithContext(ctx, method, "/", strings.NewReader(string(body)))
		r.URL = &url.URL{Path: strings.NewReplacer("{id}", id, "{name}", id, "{profile}", id).Replace(path), RawQuery: query}
		r.Header = http.Header{"Authorization": {"Bearer " + plain}, "Content-Type": {contentType}, "Accept": {accept}, "Last-Event-Id": {lastID}}
		w := impatient{httptest.NewRecorder(), leave}
		s.handler.ServeHTTP(w, r)
		if w.Code >= 500 || len(s.failures.take()) > 0 {
			t.Fatalf("%s %s: %d: %s", method, r.URL, w.Code, w.Body)
		}
		if w.Code < 400 {
			return
		}
		var p wire.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Detail == "" || w.Header().Get("Content-Type") != problemType {
			t.Fatalf("%s %s: %d is no problem: %v, %s", method, r.URL, w.Code, err, w.Body)
		}
		if w.Body.Len() > maxFaults*(maxPlace+2*maxMessage) {
			t.Fatalf("%s %s: a problem of %d bytes", method, r.URL, w.Body.Len())
		}
		for _, e := range p.Errors {
			if e.Location == "" || e.Message == "" {
				t.Fatalf("%s %s: %s", method, r.URL, w.Body)
			}
		}
	})
}
