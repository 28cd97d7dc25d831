package projections

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/eventstore"
)

// Rebuilding a World is mostly decoding, and of a job's events a World needs
// little. So the few fields are read straight from the wire, without making
// messages; what is read equals what the generated decoder reads, which a test
// holds it to. A record that still has its value spares even that.

// maxInterned bounds the strings kept for reuse; beyond it they are forgotten
// and gathered anew.
const maxInterned = 4096

var errWire = errors.New("it is not protobuf, or its text is not UTF-8")

// decoder reads facts. It keeps what it can use again, so it belongs to one
// owner.
type decoder struct {
	interned map[string]string
	requires resource.Labels // of the last submission
}

// submission is what a World needs of JobSubmitted. Its labels are the decoder's
// and last until the next submission.
type submission struct {
	namespace, pool string
	requires        resource.Labels
	need            resource.Amount
	priority        int32
	exclusive       bool
	sealed          bool // it has secrets of its own
	timeLimit       int64
	grace           int64
}

// step is what a World needs of the other events of a job; which fields an
// event has is in stepFields.
type step struct {
	attempt uint32
	worker  id.ID
	retried bool
	delay   int64
}

// stepFields are the field numbers of a step in an event; 0 is none.
type stepFields struct{ attempt, worker, retried, delay protowire.Number }

var (
	boundFields     = stepFields{attempt: 1, worker: 2}
	attemptFields   = stepFields{attempt: 1}
	failedFields    = stepFields{attempt: 1, retried: 6}
	timedOutFields  = stepFields{attempt: 1, retried: 5}
	lostFields      = stepFields{attempt: 1, retried: 5}
	scheduledFields = stepFields{attempt: 1, delay: 4}
)

func (d *decoder) submission(r *eventstore.Record) (submission, error) {
	d.requires = d.requires[:0]
	if m, ok := r.Value.(*eventv1.JobSubmitted); ok {
		return d.submissionOf(m), nil
	}
	var s submission
	err := fields(r.Data, func(n protowire.Number, t protowire.Type, b []byte, v uint64) error {
		switch {
		case n == 1 && t == protowire.BytesType:
			return d.text(&s.namespace, b)
		case n == 2 && t == protowire.BytesType:
			return valid(b)
		case n == 3 && t == protowire.BytesType:
			return d.text(&s.pool, b)
		case n == 4 && t == protowire.BytesType:
			return d.label(b)
		case n == 5 && t == protowire.BytesType:
			return amount(&s.need, b)
		case n == 6 && t == protowire.VarintType:
			s.priority = int32(protowire.DecodeZigZag(v & (1<<32 - 1)))
		case n == 7 && t == protowire.VarintType:
			s.exclusive = v != 0
		case n == 9 && t == protowire.VarintType:
			s.timeLimit = int64(v)
		case n == 10 && t == protowire.BytesType:
			return grace(&s.grace, b)
		case n == 13 && t == protowire.VarintType:
			s.sealed = v != 0
		}
		return nil
	})
	s.requires = d.requires
	return s, err
}

func (d *decoder) submissionOf(m *eventv1.JobSubmitted) submission {
	for _, p := range m.Requires {
		d.requires = append(d.requires, resource.Label{Key: p.Key, Value: p.Value})
	}
	return submission{
		namespace: m.Namespace, pool: m.Pool, requires: d.requires,
		need:     resource.FromEvent(m.Resources),
		priority: m.Priority, exclusive: m.Exclusive, sealed: m.Sealed,
		timeLimit: m.TimeLimitNs, grace: m.Cancel.GetGraceNs(),
	}
}

func (d *decoder) label(b []byte) error {
	var l resource.Label
	err := fields(b, func(n protowire.Number, t protowire.Type, b []byte, _ uint64) error {
		switch {
		case n == 1 && t == protowire.BytesType:
			return d.text(&l.Key, b)
		case n == 2 && t == protowire.BytesType:
			return d.text(&l.Value, b)
		}
		return nil
	})
	d.requires = append(d.requires, l)
	return err
}

func amount(a *resource.Amount, b []byte) error {
	return fields(b, func(n protowire.Number, t protowire.Type, _ []byte, v uint64) error {
		switch {
		case t != protowire.VarintType:
		case n == 1:
			a.CPU = resource.CPU(v)
		case n == 2:
			a.Memory = resource.Bytes(v)
		case n == 3:
			a.Disk = resource.Bytes(v)
		}
		return nil
	})
}

func grace(ns *int64, b []byte) error {
	return fields(b, func(n protowire.Number, t protowire.Type, b []byte, v uint64) error {
		switch {
		case n == 1 && t == protowire.BytesType:
			return valid(b)
		case n == 2 && t == protowire.VarintType:
			*ns = int64(v)
		}
		return nil
	})
}

// step reads the fields of f. A record with a value has no need of f.
func (d *decoder) step(r *eventstore.Record, f stepFields) (s step, err error) {
	if r.Value != nil {
		return stepOf(r.Value)
	}
	var worker []byte
	err = fields(r.Data, func(n protowire.Number, t protowire.Type, b []byte, v uint64) error {
		switch {
		case n == f.attempt && t == protowire.VarintType:
			s.attempt = uint32(v)
		case n == f.worker && t == protowire.BytesType:
			worker = b
			return valid(b)
		case n == f.retried && t == protowire.VarintType:
			s.retried = v != 0
		case n == f.delay && t == protowire.VarintType:
			s.delay = int64(v)
		}
		return nil
	})
	if err == nil && len(worker) > 0 {
		s.worker, err = id.ParseWorker(string(worker))
	}
	return s, err
}

func stepOf(value any) (s step, err error) {
	switch m := value.(type) {
	case *eventv1.JobBound:
		s.attempt = m.Attempt
		if m.WorkerId != "" {
			s.worker, err = id.ParseWorker(m.WorkerId)
		}
	case *eventv1.JobStarted:
		s.attempt = m.Attempt
	case *eventv1.JobSucceeded:
		s.attempt = m.Attempt
	case *eventv1.JobFailed:
		s.attempt, s.retried = m.Attempt, m.Retried
	case *eventv1.JobCancelled:
		s.attempt = m.Attempt
	case *eventv1.JobTimedOut:
		s.attempt, s.retried = m.Attempt, m.Retried
	case *eventv1.JobLost:
		s.attempt, s.retried = m.Attempt, m.Retried
	case *eventv1.JobRetryScheduled:
		s.attempt, s.delay = m.Attempt, m.DelayNs
	case *eventv1.JobRequeued:
		s.attempt = m.Attempt
	}
	return s, err
}

// fields calls take with each field of a message: b is the content of a bytes
// field, v the number of a varint.
func fields(data []byte, take func(n protowire.Number, t protowire.Type, b []byte, v uint64) error) error {
	for len(data) > 0 {
		n, t, k := protowire.ConsumeTag(data)
		if k < 0 {
			return errWire
		}
		data = data[k:]
		var b []byte
		var v uint64
		switch t {
		case protowire.BytesType:
			b, k = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			v, k = protowire.ConsumeVarint(data)
		default:
			k = protowire.ConsumeFieldValue(n, t, data)
		}
		if k < 0 {
			return errWire
		}
		data = data[k:]
		if err := take(n, t, b, v); err != nil {
			return err
		}
	}
	return nil
}

// text sets s to the text in b, without making it anew if it was seen before.
func (d *decoder) text(s *string, b []byte) error {
	if known, ok := d.interned[string(b)]; ok {
		*s = known
		return nil
	}
	if err := valid(b); err != nil {
		return err
	}
	if d.interned == nil || len(d.interned) >= maxInterned {
		d.interned = make(map[string]string)
	}
	*s = string(b)
	d.interned[*s] = *s
	return nil
}

func valid(b []byte) error {
	if !utf8.Valid(b) {
		return errWire
	}
	return nil
}
