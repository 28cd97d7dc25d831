package gateway

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	pb "github.com/hodei-jobs/hodei/agentproto/v1"
	eventv1 "github.com/hodei-jobs/hodei/aggregates/event/v1"
	"github.com/hodei-jobs/hodei/aggregates/id"
	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/projections/joblog"
)

// Bounds of what an agent may say. Beyond them a Hello is refused and other text
// is cut.
const (
	maxHeld     = 4096 // attempts of one worker
	maxName     = 128  // bytes of a worker's or step's name, of a system and version
	maxDetail   = 1024 // bytes of words
	maxWord     = 32   // bytes of a signal, outcome, cause, state
	maxInstance = 16
)

// key returns the attempt a message names, if it can be one.
func key(r *pb.AttemptRef) (joblog.Key, bool) {
	job, err := id.Parse(r.GetJob())
	if err != nil || r.GetAttempt() == 0 || r.GetAttempt() > joblog.MaxAttempt {
		return joblog.Key{}, false
	}
	return joblog.Key{Job: job, Attempt: r.GetAttempt()}, true
}

func ref(k joblog.Key) *pb.AttemptRef {
	return &pb.AttemptRef{Job: k.Job.String(), Attempt: k.Attempt}
}

// text returns s as printable text of at most limit bytes.
func text(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '�'
		}
		return r
	}, s[:min(len(s), limit)])
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// word returns s if it is one lower- or upper-case word, else "".
func word(s string) string {
	if len(s) > maxWord {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '+' {
			return ""
		}
	}
	return s
}

// facts checks what an agent says of itself. Labels that were granted
// to it stand over its own.
func facts(f *pb.Facts, granted resource.Labels) (*eventv1.WorkerFacts, error) {
	labels := make(map[string]string, len(f.GetLabels()))
	if len(f.GetLabels()) > resource.MaxLabels {
		return nil, fmt.Errorf("it has %d labels, at most %d may be", len(f.GetLabels()), resource.MaxLabels)
	}
	for _, l := range f.GetLabels() {
		labels[l.GetKey()] = l.GetValue()
	}
	for _, l := range granted {
		labels[l.Key] = l.Value
	}
	all := resource.FromMap(labels)
	if err := all.Valid(); err != nil {
		return nil, err
	}
	c := f.GetCapacity()
	capacity := resource.Amount{
		CPU: resource.CPU(c.GetCpuMilli()), Memory: resource.Bytes(c.GetMemoryBytes()), Disk: resource.Bytes(c.GetDiskBytes()),
	}
	if capacity.CPU > resource.MaxCPU || capacity.Memory > resource.MaxBytes || capacity.Disk > resource.MaxBytes {
		return nil, fmt.Errorf("its capacity of %s can't be true", capacity)
	}
	return &eventv1.WorkerFacts{
		Name: text(f.GetName(), maxName), Os: text(f.GetOs(), maxName), Arch: text(f.GetArch(), maxName),
		Version:  text(f.GetVersion(), maxName),
		Capacity: capacity.Event(),
		Labels:   all.Pairs(),
	}, nil
}
