package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/hodei-jobs/hodei/eventstore"
)

// scanStep is how many records a scan asks for at a time.
const scanStep = 100

// scan reads from a position to the head, step records at a time.
func scan(ctx context.Context, s eventstore.Store, from eventstore.Position, step int, f eventstore.Filter) (records []*eventstore.Record, err error) {
	head, _ := s.Wait()
	for from <= head {
		before := len(records)
		var next eventstore.Position
		records, next, err = s.ReadAll(ctx, records, from, step, f)
		switch {
		case err != nil:
			return nil, fmt.Errorf("cannot read from #%d: %w", from, err)
		case next <= from:
			return nil, fmt.Errorf("a read from #%d of %d does not move on: next is #%d", from, head, next)
		case len(records)-before > step:
			return nil, fmt.Errorf("a read of up to %d records gave %d", step, len(records)-before)
		}
		for _, r := range records[before:] {
			if r.Position < from || r.Position >= next || !f.Match(r) {
				return nil, fmt.Errorf("a read from #%d that goes on from #%d gave #%d, a %s of %s", from, next, r.Position, r.Type, r.Stream)
			}
		}
		from = next
	}
	return records, nil
}

// verify reads the log in all ways and holds them against each other.
func (p *proof) verify() {
	p.Helper()
	if p.closed || p.Failed() {
		return
	}
	if err := verify(p.ctx, p.store); err != nil {
		p.Errorf("the log does not hold together: %v", err)
	}
	if err := p.store.Err(); err != nil {
		p.Errorf("the store has failed: %v", err)
	}
}

func verify(ctx context.Context, s eventstore.Store) error {
	records, err := scan(ctx, s, 1, scanStep, eventstore.Filter{})
	if err != nil {
		return err
	}
	streams, err := dense(records)
	if err != nil {
		return err
	}
	for stream, want := range streams {
		if err := verifyStream(ctx, s, stream, want); err != nil {
			return err
		}
	}
	return verifyChain(ctx, s, records)
}

// dense checks that positions and revisions begin at 1 and have no gap, and that
// time never goes back. It returns the records by stream.
func dense(records []*eventstore.Record) (map[eventstore.StreamID][]*eventstore.Record, error) {
	streams := map[eventstore.StreamID][]*eventstore.Record{}
	last := int64(0)
	for i, r := range records {
		own := streams[r.Stream]
		switch {
		case r.Position != eventstore.Position(i+1):
			return nil, fmt.Errorf("record %d of the log is at #%d", i+1, r.Position)
		case r.Revision != eventstore.Revision(len(own)+1):
			return nil, fmt.Errorf("#%d is event %d of %s, but has revision %d", r.Position, len(own)+1, r.Stream, r.Revision)
		case r.Time < last || r.Time <= 0:
			return nil, fmt.Errorf("the time of #%d is %d, that of the record before it %d", r.Position, r.Time, last)
		}
		last = r.Time
		streams[r.Stream] = append(own, r)
	}
	return streams, nil
}

func verifyStream(ctx context.Context, s eventstore.Store, stream eventstore.StreamID, want []*eventstore.Record) error {
	rev, err := s.StreamRevision(ctx, stream)
	if err != nil || rev != eventstore.Revision(len(want)) {
		return fmt.Errorf("%s has %d events, but revision %d (%w)", stream, len(want), rev, err)
	}
	forwards, err := s.ReadStream(ctx, nil, stream, 1, len(want)+1, eventstore.Forwards)
	if err != nil {
		return err
	}
	backwards, err := s.ReadStream(ctx, nil, stream, 0, len(want)+1, eventstore.Backwards)
	if err != nil {
		return err
	}
	if len(forwards) != len(want) || len(backwards) != len(want) {
		return fmt.Errorf("%s has %d records, %d forwards, %d backwards", stream, len(want), len(forwards), len(backwards))
	}
	for i, w := range want {
		if err := sameRecord(forwards[i], w); err != nil {
			return fmt.Errorf("revision %d of %s forwards: %w", i+1, stream, err)
		}
		if err := sameRecord(backwards[len(want)-1-i], w); err != nil {
			return fmt.Errorf("revision %d of %s backwards: %w", i+1, stream, err)
		}
	}
	return nil
}

// sameRecord compares all that is stored of two records.
func sameRecord(got, want *eventstore.Record) error {
	if got.Position != want.Position || got.Revision != want.Revision || got.Time != want.Time || got.ID != want.ID ||
		got.Stream != want.Stream || got.Type != want.Type ||
		!bytes.Equal(got.Metadata, want.Metadata) || !bytes.Equal(got.Data, want.Data) {
		return fmt.Errorf("it is #%d %s %d %s, not #%d %s %d %s",
			got.Position, got.Stream, got.Revision, got.Type, want.Position, want.Stream, want.Revision, want.Type)
	}
	return nil
}

func verifyChain(ctx context.Context, s eventstore.Store, records []*eventstore.Record) error {
	want := chains(records)
	for p := range want {
		got, err := s.ChainAt(ctx, eventstore.Position(p))
		if err != nil || got != want[p] {
			return fmt.Errorf("the chain at #%d is %s, its records give %s (%w)", p, got, want[p], err)
		}
	}
	return nil
}

// chains computes the record chain from position 0 on, from what the port says
// of it and with nothing of what the stores use.
func chains(records []*eventstore.Record) []eventstore.Hash {
	out := make([]eventstore.Hash, 1, len(records)+1)
	for i, r := range records {
		b := bytes.Clone(out[i][:])
		b = binary.BigEndian.AppendUint64(b, uint64(i+1))
		b = field(b, []byte(r.Stream))
		b = number(b, uint64(r.Revision))
		b = append(b, r.ID[:]...)
		b = field(b, []byte(r.Type))
		b = binary.BigEndian.AppendUint64(b, uint64(r.Time))
		b = field(b, r.Metadata)
		b = field(b, r.Data)
		out = append(out, sha256.Sum256(b))
	}
	return out
}

func field(b, data []byte) []byte { return append(number(b, uint64(len(data))), data...) }

// number appends n, 7 bits a byte, low ones first; the highest bit says that
// more follow.
func number(b []byte, n uint64) []byte {
	for ; n > 0x7f; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}
