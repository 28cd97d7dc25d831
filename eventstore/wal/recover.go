package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hodei-jobs/hodei/eventstore/fields"
)

// recover brings the log from whatever a crash left behind to where it may be
// appended to. Nothing is changed on disk before all of it was found sound.
func (l *Log) recover(rec *Recovery) error {
	numbers, err := l.list(rec)
	if err != nil {
		return err
	}
	begin, chain, err := l.horizon()
	if err != nil {
		return err
	}
	clean, err := l.readClean(rec)
	if err != nil {
		return err
	}
	for len(numbers) > 0 && numbers[0] < begin.number { // a crash while they were removed
		rec.leftovers = append(rec.leftovers, l.journalAt(place{numbers[0], 0}, chain).dir)
		numbers = numbers[1:]
	}
	l.current = l.journalAt(begin, chain)
	var torn bool
	for i, n := range numbers {
		if n != l.current.Frame {
			return &DamageError{
				File: l.current.dir, Frame: l.current.Frame - 1, Position: l.current.First - 1,
				Reason: fmt.Sprintf("the journal is missing, the next one begins with frame %d", n),
			}
		}
		newest := i == len(numbers)-1
		if torn, err = l.load(newest, rec.Clean, rec); err != nil {
			return err
		}
	}
	if rec.Clean {
		if err := clean.matches(l); err != nil {
			return err
		}
	}
	l.publish()
	if err := l.accept(l, *rec); err != nil {
		return err
	}
	if err := l.keepNames(rec.Clean, numbers); err != nil {
		return err
	}
	for _, name := range rec.leftovers {
		if err := l.files.Remove(name); err != nil {
			return err
		}
	}
	onDisk := len(numbers) > 0 && numbers[len(numbers)-1] == l.current.Frame
	return l.settle(rec, onDisk, torn)
}

// keepNames makes durable the names that were found and are about to be believed:
// a rename may have been the last that happened, of the note that says where the
// log begins, of a journal, or of the seal of the newest one.
func (l *Log) keepNames(clean bool, numbers []uint64) error {
	if clean {
		return nil
	}
	if err := l.syncDir(l.dir); err != nil || len(numbers) == 0 {
		return err
	}
	return l.syncDir(l.journalAt(place{numbers[len(numbers)-1], 0}, [32]byte{}).dir)
}

// settle cuts a torn frame, makes the last whole one durable and opens the newest
// journal for appending.
func (l *Log) settle(rec *Recovery, onDisk, torn bool) error {
	l.clean = rec.Clean
	if !onDisk {
		return nil
	}
	if torn {
		if err := l.files.Truncate(l.current.segment(), l.current.Bytes); err != nil {
			return err
		}
	}
	if !rec.Clean {
		if err := l.rewriteLast(); err != nil {
			return err
		}
	}
	segment, err := l.files.Segment(l.current.dir)
	l.segment = segment
	return err
}

// rewriteLast writes the bytes since the last waypoint over themselves. A failed
// sync leaves pages that are marked clean but never reached the disk; they can
// belong to the last frame only, and it is about to be believed.
func (l *Log) rewriteLast() error {
	if l.current.Frames == 0 {
		return nil
	}
	from := l.current.ways[len(l.current.ways)-1].offset
	data, err := readRange(l.current.segment(), from, l.current.Bytes)
	if err != nil {
		return err
	}
	return l.files.Rewrite(l.current.segment(), from, data)
}

// list returns the numbers of the journals, ascending, and notes what a crash
// left incomplete. A name that is not ours is refused: it might be a part of a log.
func (l *Log) list(rec *Recovery) (numbers []uint64, err error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		switch number, err := strconv.ParseUint(name, 10, 64); {
		case err == nil && len(name) == len(segmentName) && number > 0 && e.IsDir():
			numbers = append(numbers, number)
		case strings.HasSuffix(name, tempSuffix), strings.HasSuffix(name, newSuffix):
			rec.leftovers = append(rec.leftovers, filepath.Join(l.dir, name))
		case name != lockName && name != cleanName && name != horizonName:
			return nil, fmt.Errorf("cannot open log %s: %q does not belong there; move it away", l.dir, name)
		}
	}
	return numbers, nil
}

func (l *Log) horizon() (place, [32]byte, error) {
	var chain [32]byte
	payload, ok, err := readNote(filepath.Join(l.dir, horizonName), horizonMagic)
	if err != nil || !ok {
		return place{1, 1}, chain, err
	}
	d := fields.Reader{Rest: payload}
	p := place{d.Uvarint(), d.Uvarint()}
	copy(chain[:], d.Bytes(uint64(len(chain))))
	return p, chain, nil
}

// cleanNote is the end of a log that was closed in order.
type cleanNote struct {
	end   place
	bytes int64
}

func (l *Log) readClean(rec *Recovery) (c cleanNote, err error) {
	payload, ok, err := readNote(filepath.Join(l.dir, cleanName), cleanMagic)
	var damaged *DamageError
	if errors.As(err, &damaged) {
		// It says nothing that the journals don't say better.
		rec.Notes = append(rec.Notes, cleanName+" cannot be read and is not used")
		rec.leftovers = append(rec.leftovers, filepath.Join(l.dir, cleanName))
		return c, nil
	}
	if err != nil || !ok {
		return c, err
	}
	d := fields.Reader{Rest: payload}
	c = cleanNote{place{d.Uvarint(), d.Uvarint()}, int64(d.Uvarint())}
	rec.Clean, rec.Meta = true, d.Rest
	return c, nil
}

func (c cleanNote) matches(l *Log) error {
	if c.end == l.current.end() && c.bytes == l.current.Bytes {
		return nil
	}
	return &DamageError{
		File: l.current.segment(), Offset: l.current.Bytes,
		Frame: l.current.end().number - 1, Position: l.current.Next - 1,
		Reason: fmt.Sprintf("the log was closed in order after frame %d and position %d, but does not end there",
			c.end.number-1, c.end.first-1),
	}
}

// load takes the journal l.current from disk; a sealed one moves to the others.
func (l *Log) load(newest, clean bool, rec *Recovery) (torn bool, err error) {
	dir := l.current.dir
	if err := l.checkNames(dir, rec); err != nil {
		return false, err
	}
	payload, sealed, err := readNote(filepath.Join(dir, sealName), sealMagic)
	if err != nil {
		return false, err
	}
	if sealed {
		return false, l.loadSealed(dir, payload)
	}
	if !newest {
		return false, &DamageError{
			File: filepath.Join(dir, sealName), Frame: l.current.Frame - 1, Position: l.current.First - 1,
			Reason: "the seal is missing, and there is a newer journal",
		}
	}
	return l.scan(clean, rec)
}

func (l *Log) checkNames(dir string, rec *Recovery) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		switch name := e.Name(); {
		case name == segmentName:
			found = true
		case name == sealName+tempSuffix:
			rec.leftovers = append(rec.leftovers, filepath.Join(dir, name))
		case name != sealName:
			return fmt.Errorf("cannot open log %s: %q does not belong in %s; move it away", l.dir, name, dir)
		}
	}
	if !found {
		return &DamageError{
			File: filepath.Join(dir, segmentName), Frame: l.current.Frame - 1, Position: l.current.First - 1,
			Reason: "the segment is missing",
		}
	}
	return nil
}

func (l *Log) loadSealed(dir string, payload []byte) error {
	j, err := decodeSeal(dir, payload)
	if err != nil {
		return err
	}
	damaged := &DamageError{File: j.segment(), Frame: l.current.Frame - 1, Position: l.current.First - 1}
	if j.Frame != l.current.Frame || j.First != l.current.First || j.Chain != l.current.Chain {
		damaged.Reason = "its seal does not continue the journal before"
		return damaged
	}
	info, err := os.Stat(j.segment())
	if err != nil {
		return err
	}
	if info.Size() != j.Bytes {
		damaged.Offset = min(info.Size(), j.Bytes)
		damaged.Reason = fmt.Sprintf("it has %d bytes, its seal says %d", info.Size(), j.Bytes)
		return damaged
	}
	j.Meta = l.kept(j.Meta)
	l.push(j)
	return nil
}

// scan reads the newest journal whole. A bad tail is left out, and on disk, if
// a crash can have made it.
func (l *Log) scan(clean bool, rec *Recovery) (torn bool, err error) {
	data, err := os.ReadFile(l.current.segment())
	if err != nil {
		return false, err
	}
	if l.current.mark, err = parseBegin(data); err != nil { // it was durable before the journal had its name
		return false, &DamageError{
			File: l.current.segment(), Frame: l.current.Frame - 1, Position: l.current.First - 1, Reason: err.Error(),
		}
	}
	data = data[beginBytes:]
	chain := l.current.Chain
	for len(data) > 0 {
		p := l.current.end()
		f, n, err := parse(data)
		if err == nil && f.mark != l.current.mark {
			err = errMark
		}
		if err == nil && !p.holds(f) {
			err = errOrder
		}
		if err == nil && l.current.Frames == 0 && f.Chain != chain {
			err = errors.New("its chain does not continue the journal before")
		}
		if err == nil {
			l.current.add(f, n)
			data = data[n:]
			continue
		}
		reason := err.Error()
		if why := damage(data, l.current.mark, p, l.check); why != "" {
			reason += ", " + why
		} else if clean {
			reason += ", and the log was closed in order"
		} else {
			rec.Cut = int64(len(data))
			rec.Notes = append(rec.Notes, fmt.Sprintf("cut %d bytes of a torn last frame after frame %d, position %d (%s)",
				len(data), p.number-1, p.first-1, err))
			return true, nil
		}
		return false, &DamageError{
			File: l.current.segment(), Offset: l.current.Bytes,
			Frame: p.number - 1, Position: p.first - 1, Reason: reason,
		}
	}
	return false, nil
}
