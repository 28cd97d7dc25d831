package eventstore

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// An EventID is laid out as RFC 9562 says for version 7:
//
//	byte 0        6     8                                            16
//	     [ms      |ver 7 |var| random                 | ordinal       ]
//	      48 bits  4+12    2   46 bits                  16 bits
//
// The 12 bits after the version count ids within one millisecond, the ordinal
// counts the events of one append. So an id from [EventIDs.New] is followed by
// 65,535 ids that nobody else has.
const (
	sequenceBits = 12
	ordinalBits  = 16
	variantBits  = 0x8000_0000_0000_0000
	randomMask   = 1<<62 - 1<<ordinalBits
	version7     = 7
)

// EventIDs makes event ids that grow along its own calls and are unique among
// all generators. The zero value is ready; it is safe for concurrent use.
type EventIDs struct {
	last atomic.Uint64 // milliseconds << sequenceBits | sequence, of the newest id
}

// New returns the first id of an append that is made at now. The ids of its
// other events follow by [EventID.Next]. More than 4,096 calls in a millisecond
// borrow from the next one.
func (g *EventIDs) New(now time.Time) EventID {
	floor := uint64(max(0, now.UnixMilli())) << sequenceBits
	for {
		last := g.last.Load()
		tick := max(last+1, floor)
		if g.last.CompareAndSwap(last, tick) { // one step: two would hand out one id twice
			return eventID(tick, rand.Uint64())
		}
	}
}

func eventID(tick, random uint64) (id EventID) {
	ms, sequence := tick>>sequenceBits, tick&(1<<sequenceBits-1)
	binary.BigEndian.PutUint64(id[:8], ms<<16|version7<<sequenceBits|sequence)
	binary.BigEndian.PutUint64(id[8:], variantBits|random&randomMask)
	return id
}

var processIDs EventIDs

// NewEventID returns the first id of an append that is made now.
func NewEventID() EventID { return processIDs.New(time.Now()) }

// Next returns the id after this one: that of the next event of the same append.
func (id EventID) Next() EventID {
	low := binary.BigEndian.Uint64(id[8:])
	binary.BigEndian.PutUint64(id[8:], variantBits|(low+1)&^(3<<62))
	return id
}

// Add returns the id n steps of Next after this one.
func (id EventID) Add(n int) EventID {
	low := binary.BigEndian.Uint64(id[8:])
	binary.BigEndian.PutUint64(id[8:], variantBits|(low+uint64(n))&^(3<<62))
	return id
}

// Time returns when the id was made, to the millisecond.
func (id EventID) Time() time.Time { return time.UnixMilli(id.Milli()).UTC() }

// Milli returns when the id was made, in ms since 1970 UTC.
func (id EventID) Milli() int64 { return int64(binary.BigEndian.Uint64(id[:8]) >> 16) }

// IsZero reports whether this is no id at all.
func (id EventID) IsZero() bool { return id == EventID{} }

func (id EventID) valid() bool { return id[6]>>4 == version7 && id[8]>>6 == 2 }

// String returns the id as 36 characters: 019b3c2e-….
func (id EventID) String() string {
	var s [36]byte
	hex.Encode(s[0:8], id[0:4])
	hex.Encode(s[9:13], id[4:6])
	hex.Encode(s[14:18], id[6:8])
	hex.Encode(s[19:23], id[8:10])
	hex.Encode(s[24:36], id[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

var errEventID = errors.New("an event id is a UUID of version 7, such as 019b3c2e-7d10-7000-8a4e-5b6c7d8e0000")

// ParseEventID reads what [EventID.String] wrote.
func ParseEventID(s string) (EventID, error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return EventID{}, errEventID
	}
	var id EventID
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil || !id.valid() {
		return EventID{}, errEventID
	}
	return id, nil
}
