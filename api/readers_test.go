package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/sse"
	"github.com/hodei-jobs/hodei/api/wire"
	"github.com/hodei-jobs/hodei/commands"
	"github.com/hodei-jobs/hodei/projections/joblog"
	"github.com/hodei-jobs/hodei/projections/jobs"
)

// stopped opens a stream, reads its beginning, and no more.
func (s *site) stopped(address, path, plain string) net.Conn {
	s.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nAccept: %s\r\n\r\n", path, plain, streamType); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// flood appends as an agent does, as fast as the window lets it, and returns the
// hash of what it wrote and the time that single appends took.
func (a *attempt) flood(size int) (sum [32]byte, appends []time.Duration) {
	a.t.Helper()
	hash, chunk := sha256.New(), make([]byte, 32<<10)
	for written := 0; written < size; written += len(chunk) {
		for i := range chunk {
			chunk[i] = "0123456789abcdefghijklmnopqrstuvwxyz\n"[(a.head+uint64(i))%37]
		}
		hash.Write(chunk)
		if over := a.head + uint64(len(chunk)); over > joblog.DefaultWindow {
			if err := a.logs.WaitDurable(a.t.Context(), a.key, over-joblog.DefaultWindow); err != nil {
				a.t.Fatal(err)
			}
		}
		begun := time.Now()
		err := a.logs.Append(a.key, 1, joblog.Piece{Tag: 1, Offset: a.head, Time: begun.UnixNano(), Data: bytes.Clone(chunk)})
		appends = append(appends, time.Since(begun))
		if err != nil {
			a.t.Fatal(err)
		}
		a.head += uint64(len(chunk))
	}
	return [32]byte(hash.Sum(nil)), appends
}

// A thousand readers of one job that floods, all but two of which stopped reading,
// hold up neither its output nor the server's memory; each that reads gets all.
func TestAThousandReadersOfAFlood(t *testing.T) {
	readers, size := 1000, 48<<20
	if testing.Short() {
		readers, size = 100, 24<<20
	}
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	a := s.start(j.ID, 1)
	path := "/v1/jobs/" + j.ID + "/logs"
	var plain [2]string
	for i := range plain {
		plain[i] = s.token("default", token.Viewer)
	}
	for i := range readers {
		s.stopped(strings.TrimPrefix(s.url, "http://"), path, plain[i%2])
	}
	live := s.events(path, plain[0])
	sums := make(chan [32]byte, 1)
	go func() { sums <- hashOf(t, live) }()
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	watching, enough := context.WithCancel(t.Context())
	watched := make(chan uint64)
	go func() { watched <- peakHeap(watching) }()
	sum, appends := a.flood(size)
	if err := a.logs.WaitDurable(t.Context(), a.key, a.head); err != nil {
		t.Fatal(err)
	}
	a.finish(succeeded())
	if got := <-sums; got != sum {
		t.Error("the reader that read did not get what was written")
	}
	enough()
	// A stopped reader may hold what it encoded last, and its connection.
	used, most := <-watched-before.HeapAlloc, uint64(readers)*256<<10+64<<20
	if used > most {
		t.Errorf("%d readers made the server use %d MB, at most %d may be", readers, used>>20, most>>20)
	}
	t.Logf("%d readers made the server use %d MB", readers, used>>20)
	slices.Sort(appends)
	t.Logf("of %d appends half took %s, 99 of 100 %s", len(appends), appends[len(appends)/2], appends[len(appends)*99/100])
	late := s.events(path, plain[1])
	if hashOf(t, late) != sum {
		t.Error("a reader that came late did not get what was written")
	}
}

// hashOf reads a log's stream to its end.
func hashOf(t *testing.T, r *sse.Reader) [32]byte {
	hash := sha256.New()
	for {
		e, err := r.Next()
		if err != nil {
			t.Errorf("the stream ended without an end: %v", err)
			return [32]byte{}
		}
		switch e.Name {
		case "message":
			p := decode[wire.LogPiece](t, e.Data)
			hash.Write(p.Bytes())
		case "end":
			return [32]byte(hash.Sum(nil))
		}
	}
}

// peakHeap looks at the heap every 50 ms.
func peakHeap(ctx context.Context) (peak uint64) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc)
		select {
		case <-ctx.Done():
			return peak
		case <-tick.C:
		}
	}
}

// A reader that is slow falls behind what is in memory, is caught up from the
// journal, and loses no byte.
func TestASlowReaderIsCaughtUp(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	a := s.start(j.ID, 1)
	plain := s.token("default", token.Viewer)
	conn := s.stopped(strings.TrimPrefix(s.url, "http://"), "/v1/jobs/"+j.ID+"/logs", plain)
	slow := httptest.NewRecorder() // another, which reads a little at a time
	sum, _ := a.flood(24 << 20)    // far more than its ring and all buffers between
	a.finish(succeeded())
	conn.Close()
	f := &logFollower{server: s.server, job: s.row(j.ID), key: a.key, to: joblog.MaxOffset, out: sse.NewWriter(slow)}
	hash := sha256.New()
	for {
		before := f.offset
		if err := f.fill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.out.Buffered() > 8*fillBytes {
			t.Fatalf("%d bytes wait for one client", f.out.Buffered())
		}
		if err := f.out.Flush(); err != nil {
			t.Fatal(err)
		}
		for r := sse.NewReader(slow.Body); ; {
			e, err := r.Next()
			if err != nil {
				break
			}
			p := decode[wire.LogPiece](t, e.Data)
			hash.Write(p.Bytes())
		}
		if f.offset == before {
			break
		}
	}
	if [32]byte(hash.Sum(nil)) != sum {
		t.Error("it did not get what was written")
	}
}

// row is a job as the World shows it.
func (s *site) row(jobID string) jobs.Job {
	s.t.Helper()
	j, ok := s.runner.World().Jobs.ByID(parseID(s.t, jobID))
	if !ok {
		s.t.Fatal("there is no such job")
	}
	return j
}

// A reader that takes nothing is given up after the limit for a write, and only it.
func TestAReaderThatNeverReadsIsGivenUp(t *testing.T) {
	s := newSite(t)
	s.server.writeLimit = 200 * time.Millisecond
	handler, _ := s.server.routes()
	server := httptest.NewServer(handler)
	defer server.Close()
	j := s.submit(s.admin(), `{"command":"x"}`)
	a := s.start(j.ID, 1)
	a.flood(16 << 20) // more than any buffer between them
	plain := s.token("default", token.Viewer)
	s.stopped(strings.TrimPrefix(server.URL, "http://"), "/v1/jobs/"+j.ID+"/logs", plain)
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	open := func() int {
		s.server.streams.mu.Lock()
		defer s.server.streams.mu.Unlock()
		return s.server.streams.all
	}
	for open() > 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it is still served")
		}
	}
}

// The end comes after the last byte, also of an attempt that was lost while its
// worker's bytes were on their way.
func TestTheEndWaitsForTheLogToBeWhole(t *testing.T) {
	s := newSite(t)
	j := s.submit(s.admin(), `{"command":"x"}`)
	a := s.start(j.ID, 1)
	a.print(1, "first\n")
	r := s.events("/v1/jobs/"+j.ID+"/logs", s.token("default", token.Viewer))
	next(t, r, "message")
	lost := commands.Loss{Job: a.key.Job, Lose: job.Lose{Attempt: 1, Cause: "worker_lost"}}
	if _, errs := s.commands.LoseJobs(t.Context(), tester, []commands.Loss{lost}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	var group sync.WaitGroup
	group.Go(func() {
		if got := collect(t, r); got.output != "last\n" || got.end.State != "lost" {
			t.Errorf("%q, then %s", got.output, got.end.State)
		}
	})
	a.print(1, "last\n")
	s.logs.Finish(a.key, a.head)
	group.Wait()
}
