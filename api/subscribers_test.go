package api

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/token"
)

// subscribers is how many read one stream at once.
const subscribers = 1000

// BenchmarkSubscribers is how long it takes until so many readers of a stream have
// heard of a job, from before it is submitted. Readers and server share the cores.
func BenchmarkSubscribers(b *testing.B) {
	for _, path := range []string{"/v1/events?type=JobSubmitted", "/v1/changes?kinds=job&every=50ms"} {
		b.Run(strings.SplitN(path[4:], "?", 2)[0], func(b *testing.B) {
			s := newSite(b)
			heard := make(chan time.Time, subscribers)
			var reading sync.WaitGroup
			var conns []net.Conn
			plain := s.token(token.AllNamespaces, token.Viewer)
			for range subscribers {
				conn := s.subscribe(path, plain)
				conns = append(conns, conn)
				reading.Go(func() {
					for in := bufio.NewReader(conn); ; {
						line, err := in.ReadString('\n')
						if err != nil {
							return
						}
						if strings.HasPrefix(line, "data: ") && strings.Contains(line, `"name":"bench"`) {
							heard <- time.Now()
						}
					}
				})
			}
			admin := s.admin()
			var all []time.Duration
			round := func() {
				<-time.After(100 * time.Millisecond) // the last look is over
				sent := time.Now()
				s.submit(admin, benchSpec)
				for range subscribers {
					all = append(all, (<-heard).Sub(sent))
				}
			}
			round() // all have connected
			all = nil
			b.ResetTimer()
			for range b.N {
				round()
			}
			b.StopTimer()
			for _, conn := range conns {
				_ = conn.Close()
			}
			reading.Wait()
			slices.Sort(all)
			b.ReportMetric(all[len(all)/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(all[len(all)*99/100].Seconds()*1e3, "p99-ms")
		})
	}
}

// subscribe opens a stream and returns when it has begun.
func (s *site) subscribe(path, plain string) net.Conn {
	s.t.Helper()
	address := strings.TrimPrefix(s.url, "http://")
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n", path, address, plain); err != nil {
		s.t.Fatal(err)
	}
	return conn
}
