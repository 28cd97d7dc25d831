package joblog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/eventstore/wal"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// The bytes a job writes pass an outbox, a link that is cut, and a server that is
// killed, whose disk is slow and has only what was synced. Followers and later
// readers must see exactly those bytes, each once; an offset must never name two
// different bytes.

const (
	linkWindow = 8 << 10
	linkLimit  = time.Hour // of fake time
)

var errKilled = errors.New("killed")

// faultyDisk writes through to the real one only what is synced. Once killed it
// does nothing any more.
type faultyDisk struct {
	wal.Disk
	mu     sync.Mutex
	random *rand.Rand
	killed bool
}

func (d *faultyDisk) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.killed = true
}

func (d *faultyDisk) alive() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.killed {
		return errKilled
	}
	return nil
}

func (d *faultyDisk) Segment(dir string) (wal.Segment, error) {
	if err := d.alive(); err != nil {
		return nil, err
	}
	s, err := d.Disk.Segment(dir)
	return &faultySegment{Segment: s, disk: d}, err
}

func (d *faultyDisk) Write(path string, data []byte) error {
	if err := d.alive(); err != nil {
		return err
	}
	return d.Disk.Write(path, data)
}

func (d *faultyDisk) Rename(from, to string) error {
	if err := d.alive(); err != nil {
		return err
	}
	return d.Disk.Rename(from, to)
}

type faultySegment struct {
	wal.Segment
	disk    *faultyDisk
	pending [][]byte // written, not synced
}

func (s *faultySegment) Write(frame []byte) error {
	s.pending = append(s.pending, bytes.Clone(frame))
	return s.disk.alive()
}

// Sync is slow now and then. If the kill comes while it runs, either outcome is
// possible.
func (s *faultySegment) Sync() error {
	s.disk.mu.Lock()
	slow, lucky := time.Duration(s.disk.random.IntN(1000)-700), s.disk.random.IntN(2) == 0
	s.disk.mu.Unlock()
	time.Sleep(slow * time.Millisecond)
	err := s.disk.alive()
	if err == nil || lucky {
		for _, frame := range s.pending {
			if err := s.Segment.Write(frame); err != nil {
				return err
			}
		}
		s.pending = nil
	}
	return err
}

// work is one attempt: its box in the agent's outbox, and what its job wrote.
type work struct {
	key  joblog.Key
	box  *outbox.Box
	data []byte // all that was ever written, to compare with
	tags []byte // of each byte
}

// server is the log, replaced when it is killed.
type server struct {
	lock    chan struct{} // a mutex that fake time may pass
	dir     string
	random  *rand.Rand
	log     *joblog.Log
	disk    *faultyDisk
	changed chan struct{}
}

func (s *server) now() (*joblog.Log, <-chan struct{}) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	return s.log, s.changed
}

func (s *server) open(t *testing.T) {
	s.disk = &faultyDisk{random: rand.New(rand.NewPCG(s.random.Uint64(), 0))}
	log, err := joblog.Open(s.dir, joblog.Options{
		Window: linkWindow, RingBytes: 1, Files: s.disk,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatalf("cannot reopen: %v", err)
	}
	s.log, s.changed = log, make(chan struct{})
}

func (s *server) kill(t *testing.T) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	s.disk.kill()
	_ = s.log.Close() // frees the lock; writes nothing
	close(s.changed)
	s.open(t)
}

func TestEveryByteOnceThroughCutsAndKills(t *testing.T) {
	seeds := 40
	if n, _ := strconv.Atoi(os.Getenv("HODEI_LONG")); n > 0 {
		seeds = 2000 * n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { runLink(t, dir, uint64(seed)) })
		})
	}
}

func runLink(t *testing.T, dir string, seed uint64) {
	ctx, cancel := context.WithTimeout(t.Context(), linkLimit)
	defer cancel()
	random := rand.New(rand.NewPCG(seed, 1))
	s := &server{lock: make(chan struct{}, 1), dir: dir, random: random}
	s.open(t)
	var jobs, link sync.WaitGroup
	agent := outbox.New()
	var works []*work
	for i := range 3 {
		k := joblog.Key{Job: id.FromBytes([5]byte{1, 2, 3, 4, byte(i)}), Attempt: 1}
		w := &work{key: k, box: agent.Open(outbox.Key{Job: k.Job.String(), Attempt: 1})}
		works = append(works, w)
		jobSeed, followSeed := random.Uint64(), random.Uint64()
		written := make(chan struct{})
		jobs.Go(func() { writeJob(w, rand.New(rand.NewPCG(jobSeed, 2))); close(written) })
		jobs.Go(func() { follow(ctx, t, s, w, written, rand.New(rand.NewPCG(followSeed, 3))) })
	}
	stop := make(chan struct{})
	sessions, kills := rand.New(rand.NewPCG(seed, 4)), rand.New(rand.NewPCG(seed, 5))
	link.Go(func() { connect(ctx, t, s, agent, works, sessions, stop) })
	link.Go(func() {
		for {
			select {
			case <-time.After(time.Duration(kills.IntN(2000)) * time.Millisecond):
				s.kill(t)
			case <-stop:
				return
			}
		}
	})
	jobs.Wait()
	close(stop)
	link.Wait()
	log, _ := s.now()
	for _, w := range works {
		readWhole(ctx, t, log, w)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// writeJob writes pieces of all sizes.
func writeJob(w *work, random *rand.Rand) {
	for range 60 {
		piece := make([]byte, 1+random.IntN(3000))
		tag := byte(1 + random.IntN(2))
		for i := range piece {
			piece[i] = byte(random.Uint32())
		}
		w.data = append(w.data, piece...)
		w.tags = append(w.tags, bytes.Repeat([]byte{tag}, len(piece))...)
		_, _ = w.box.Writer(outbox.Tag(tag)).Write(piece)
		time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
	}
	w.box.Close()
}

// connect keeps one session after the other open; each is cut at a random moment.
func connect(ctx context.Context, t *testing.T, s *server, agent *outbox.Outbox, works []*work, random *rand.Rand, stop chan struct{}) {
	for epoch := uint64(1); ; epoch++ {
		ctx, cut := context.WithTimeout(ctx, time.Duration(random.IntN(1500))*time.Millisecond)
		log, gone := s.now()
		l := &line{t: t, agent: agent, log: log, gone: gone, epoch: epoch, random: random, acks: make(chan ack, 10_000)}
		l.serve(ctx, works)
		cut()
		agent.SetWindow(0, 0, 0)
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.IntN(2)*random.IntN(300)) * time.Millisecond):
		}
	}
}

// line is one session: the agent's sender on one side, the server's receiver on
// the other.
type line struct {
	t      *testing.T
	agent  *outbox.Outbox
	log    *joblog.Log
	gone   <-chan struct{} // closed when the server is killed
	epoch  uint64
	random *rand.Rand
	acks   chan ack
}

type ack struct {
	box  *outbox.Box
	have uint64
}

// serve takes the logs, goes on from what the server has, sends, is acknowledged
// late, and reports the ends.
func (l *line) serve(ctx context.Context, works []*work) {
	open := map[outbox.Key]*work{}
	for _, w := range works {
		have, err := l.log.Take(ctx, w.key, l.epoch, func(durable uint64) { l.acks <- ack{w.box, durable} })
		switch {
		case errors.Is(err, joblog.ErrEnded):
			continue
		case err != nil, w.box.Resume(have) != nil:
			return
		}
		open[outbox.Key{Job: w.key.Job.String(), Attempt: w.key.Attempt}] = w
	}
	l.agent.SetWindow(linkWindow, 2*linkWindow, joblog.PieceCost)
	for l.send(open) && l.finish(ctx, open) {
		select {
		case a := <-l.acks:
			time.Sleep(time.Duration(l.random.IntN(5)) * time.Millisecond)
			if a.box.Ack(a.have) != nil {
				return
			}
		case <-l.agent.Wake():
		case <-l.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// send sends what may be sent.
func (l *line) send(open map[outbox.Key]*work) bool {
	for {
		p, ok := l.agent.Take()
		if !ok {
			return true
		}
		err := l.log.Append(open[p.Key].key, l.epoch, joblog.Piece{Tag: uint8(p.Tag), Offset: p.Offset, Time: p.Time, Data: p.Data})
		if errors.Is(err, joblog.ErrWindow) || errors.Is(err, joblog.ErrGap) {
			l.t.Errorf("an agent that keeps to its window gets %v", err)
		}
		if err != nil {
			return false
		}
	}
}

// finish reports the ends of those whose bytes were all sent.
func (l *line) finish(ctx context.Context, open map[outbox.Key]*work) bool {
	for k, w := range open {
		if !w.box.Sent() {
			continue
		}
		if l.log.WaitDurable(ctx, w.key, w.box.Written()) != nil {
			return false
		}
		l.log.Finish(w.key, w.box.Written())
		delete(open, k)
	}
	return true
}

// follow reads like a browser that resumes from its last id after each kill.
func follow(ctx context.Context, t *testing.T, s *server, w *work, written <-chan struct{}, random *rand.Rand) {
	k := w.key
	var seen []byte
	for {
		log, changed := s.now()
		_, _, next := log.Wait(k)
		pieces, after, err := log.Read(ctx, k, uint64(len(seen)), 1+random.IntN(4000))
		if err == nil && len(pieces) > 0 {
			for _, p := range pieces {
				if p.Offset != uint64(len(seen)) {
					t.Errorf("the follower is at %d and gets a piece from %d", len(seen), p.Offset)
					return
				}
				seen = append(seen, p.Data...)
			}
			if after != uint64(len(seen)) {
				t.Errorf("next is %d after %d bytes", after, len(seen))
			}
			if random.IntN(10) == 0 {
				time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
			}
			continue
		}
		if end, ok := log.Ended(k); ok && uint64(len(seen)) >= end {
			<-written
			compare(t, "a follower", seen, w)
			return
		}
		select {
		case <-next:
		case <-changed:
		case <-ctx.Done():
			t.Errorf("the follower of %v waits for ever at %d", k, len(seen))
			return
		}
	}
}

func readWhole(ctx context.Context, t *testing.T, log *joblog.Log, w *work) {
	var all, tags []byte
	for {
		pieces, next, err := log.Read(ctx, w.key, uint64(len(all)), 5000)
		if err != nil {
			t.Fatalf("cannot read at %d: %v", len(all), err)
		}
		for _, p := range pieces {
			all = append(all, p.Data...)
			tags = append(tags, bytes.Repeat([]byte{p.Tag}, len(p.Data))...)
		}
		if len(pieces) == 0 {
			break
		}
		if next != uint64(len(all)) {
			t.Fatalf("next is %d after %d bytes", next, len(all))
		}
	}
	compare(t, "a later reader", all, w)
	if !bytes.Equal(tags, w.tags) {
		t.Error("tags differ")
	}
}

func compare(t *testing.T, who string, got []byte, w *work) {
	if sha256.Sum256(got) != sha256.Sum256(w.data) {
		t.Errorf("%s saw %d bytes that are not the %d written", who, len(got), len(w.data))
	}
}
