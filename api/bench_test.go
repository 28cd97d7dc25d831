package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
)

const benchSpec = `{"name":"bench","command":"true"}`

// benchCallers is how many callers submit at once.
const benchCallers = 64

// costs reports submissions a second, and the processor time of each, which other
// programs on the machine change less.
func costs(b *testing.B) (report func()) {
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	return func() {
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
		spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
		b.ReportMetric(float64(spent)/float64(b.N)/1e3, "cpu-µs/op")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submits/s")
	}
}

// BenchmarkSubmit is the handler alone, without a network.
func BenchmarkSubmit(b *testing.B) {
	s := newSite(b)
	header := http.Header{"Authorization": {"Bearer " + s.token(token.AllNamespaces, token.Submitter)}, "Content-Type": {"application/json"}}
	body := []byte(benchSpec)
	b.SetParallelism(benchCallers / 2)
	b.ReportAllocs()
	b.ResetTimer()
	spent := costs(b)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r := httptest.NewRequestWithContext(b.Context(), "POST", "/v1/jobs", bytes.NewReader(body))
			r.Header = header
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			if w.Code != http.StatusCreated {
				b.Fatal(w.Body)
			}
		}
	})
	spent()
}

// BenchmarkSubmitOverTCP is the same over connections of a client that costs next
// to nothing, in the same process.
func BenchmarkSubmitOverTCP(b *testing.B) {
	s := newSite(b)
	address := strings.TrimPrefix(s.url, "http://")
	request := fmt.Appendf(nil, "POST /v1/jobs HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		address, s.token(token.AllNamespaces, token.Submitter), len(benchSpec), benchSpec)
	b.SetParallelism(benchCallers / 2)
	b.ReportAllocs()
	b.ResetTimer()
	spent := costs(b)
	b.RunParallel(func(p *testing.PB) {
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for p.Next() {
			if _, err := conn.Write(request); err != nil {
				b.Error(err)
				return
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != http.StatusCreated {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Error(err)
				return
			}
		}
	})
	spent()
}
