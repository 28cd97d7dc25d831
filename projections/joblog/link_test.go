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
	linkOutbox = 16 << 10
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
	slow, lucky := s.disk.random.IntN(4) == 0, s.disk.random.IntN(2) == 0
	s.disk.mu.Unlock()
	if slow {
		time.Sleep(50 * time.Millisecond)
	}
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

// outbox is what an agent does with an attempt's bytes: acked ≤ sent ≤ written.
type outbox struct {
	mu          sync.Mutex
	changed     chan struct{}
	data        []byte // all that was ever written, to compare with
	tags        []byte // of each byte
	acked, sent uint64
	ended       bool
}

func (o *outbox) update(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *outbox) wait() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

// take returns the next piece that may be sent.
func (o *outbox) take(limit int) (p joblog.Piece, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	end := min(uint64(len(o.data)), o.sent+uint64(limit), o.acked+linkWindow)
	if o.sent >= end {
		return p, false
	}
	p = joblog.Piece{Tag: o.tags[o.sent], Offset: o.sent, Time: time.Now().UnixNano()}
	for o.sent < end && o.tags[o.sent] == p.Tag {
		p.Data = append(p.Data, o.data[o.sent])
		o.sent++
	}
	return p, true
}

// server is the log, replaced when it is killed.
type server struct {
	lock    chan struct{} // a mutex that fake time may pass
	dir     string
	random  *rand.Rand
	log     *joblog.Log
	disk    *faultyDisk
	changed chan struct{}
	epoch   uint64
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
	boxes := map[joblog.Key]*outbox{}
	for i := range 3 {
		k := joblog.Key{Job: id.FromBytes([5]byte{1, 2, 3, 4, byte(i)}), Attempt: 1}
		o := &outbox{changed: make(chan struct{})}
		boxes[k] = o
		jobSeed, followSeed := random.Uint64(), random.Uint64()
		jobs.Go(func() { writeJob(ctx, o, rand.New(rand.NewPCG(jobSeed, 2))) })
		jobs.Go(func() { follow(ctx, t, s, k, o, rand.New(rand.NewPCG(followSeed, 3))) })
	}
	stop := make(chan struct{})
	sessions, kills := rand.New(rand.NewPCG(seed, 4)), rand.New(rand.NewPCG(seed, 5))
	link.Go(func() { connect(ctx, s, boxes, sessions, stop) })
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
	for k, o := range boxes {
		readWhole(ctx, t, log, k, o)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// writeJob fills the outbox with pieces of all sizes and waits while it is full.
func writeJob(ctx context.Context, o *outbox, random *rand.Rand) {
	for range 60 {
		piece := make([]byte, 1+random.IntN(3000))
		tag := byte(1 + random.IntN(2))
		for i := range piece {
			piece[i] = byte(random.Uint32())
		}
		for full := true; full && ctx.Err() == nil; {
			changed := o.wait()
			o.mu.Lock()
			full = uint64(len(o.data)) > o.acked+linkOutbox
			o.mu.Unlock()
			if full {
				select {
				case <-changed:
				case <-ctx.Done():
				}
			}
		}
		o.update(func() {
			o.data = append(o.data, piece...)
			o.tags = append(o.tags, bytes.Repeat([]byte{tag}, len(piece))...)
		})
		time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
	}
	o.update(func() { o.ended = true })
}

// connect keeps one session after the other open; each is cut at a random moment.
func connect(ctx context.Context, s *server, boxes map[joblog.Key]*outbox, random *rand.Rand, stop chan struct{}) {
	for {
		s.epoch++
		session, cut := context.WithTimeout(ctx, time.Duration(random.IntN(1500))*time.Millisecond)
		var senders sync.WaitGroup
		for k, o := range boxes {
			log, gone := s.now()
			delay := rand.New(rand.NewPCG(random.Uint64(), 0))
			senders.Go(func() { sendAttempt(session, log, gone, k, o, s.epoch, delay) })
		}
		senders.Wait()
		cut()
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(random.IntN(300)) * time.Millisecond):
		}
	}
}

// sendAttempt is one attempt's part of a session: take, go on from what the
// server has, send, be acknowledged late, report the end.
func sendAttempt(ctx context.Context, log *joblog.Log, gone <-chan struct{}, k joblog.Key, o *outbox, epoch uint64, random *rand.Rand) {
	acks := make(chan uint64, 1000)
	have, err := log.Take(ctx, k, epoch, func(durable uint64) { acks <- durable })
	if err != nil {
		return
	}
	o.update(func() { o.acked, o.sent = max(o.acked, have), have })
	for {
		changed := o.wait()
		if p, ok := o.take(1 + random.IntN(2000)); ok {
			if err := log.Append(k, epoch, p); err != nil {
				return
			}
		} else if o.finished() {
			if log.WaitDurable(ctx, k, uint64(len(o.data))) == nil {
				log.Finish(k, uint64(len(o.data)))
			}
			return
		}
		select {
		case durable := <-acks:
			o.update(func() { o.acked = max(o.acked, durable) })
		case <-changed:
		case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (o *outbox) finished() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended && o.sent == uint64(len(o.data))
}

// follow reads like a browser that resumes from its last id after each kill.
func follow(ctx context.Context, t *testing.T, s *server, k joblog.Key, o *outbox, random *rand.Rand) {
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
			compare(t, "a follower", seen, o)
			return
		}
		select {
		case <-next:
		case <-changed:
		case <-ctx.Done():
			t.Errorf("the follower of %v waits for ever at %d of %d", k, len(seen), len(o.data))
			return
		}
	}
}

func readWhole(ctx context.Context, t *testing.T, log *joblog.Log, k joblog.Key, o *outbox) {
	var all, tags []byte
	for {
		pieces, next, err := log.Read(ctx, k, uint64(len(all)), 5000)
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
	compare(t, "a later reader", all, o)
	if !bytes.Equal(tags, o.tags) {
		t.Error("tags differ")
	}
}

func compare(t *testing.T, who string, got []byte, o *outbox) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if sha256.Sum256(got) != sha256.Sum256(o.data) {
		t.Errorf("%s saw %d bytes that are not the %d written", who, len(got), len(o.data))
	}
}
