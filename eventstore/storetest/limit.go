package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/eventstore"
)

var limitCases = []testCase{
	{"a malformed append is invalid and writes nothing", func(p *proof) {
		p.must(to("a", eventstore.NoStream, "1"))
		p.unchanged(func() {
			for name, a := range malformed() {
				result := p.send(a)[0]
				p.isInvalid(name, result.Err)
				if result.Position != 0 || result.First != 0 {
					p.Errorf("%s: answered %+v", name, result)
				}
			}
		})
	}},
	{"an append at every limit is written", func(p *proof) {
		longest := strings.Repeat("~", eventstore.MaxStreamID)
		many := to(longest, eventstore.NoStream)
		for range eventstore.MaxEventsAppend {
			many.Events = append(many.Events, eventstore.Event{Type: "E"})
		}
		if got := p.must(many); got.Position-got.First+1 != eventstore.MaxEventsAppend {
			p.Errorf("the answer is %+v", got)
		}
		p.must(sized(eventstore.MaxAppendBytes))
		wide := []eventstore.Batch{to("last", eventstore.NoStream, "1")}
		for i := range eventstore.MaxBatches - 1 {
			wide = append(wide, at(fmt.Sprintf("none-%d", i), 0))
		}
		p.must(wide...)
		if p.revision(longest) != eventstore.MaxEventsAppend {
			p.Error("events are missing")
		}
	}},
	{"an event id from the future is refused", func(p *proof) {
		var ids eventstore.EventIDs
		p.unchanged(func() {
			p.isInvalid("an hour ahead", p.send(numberedFrom(ids.New(time.Now().Add(time.Hour)), to("a", eventstore.NoStream, "x")))[0].Err)
		})
		var old eventstore.EventIDs
		p.mustAll(numberedFrom(old.New(time.Now().Add(-time.Hour)), to("a", eventstore.NoStream, "an hour old")))
	}},
}

// sized makes a batch of one event with exactly that many bytes.
func sized(bytes int) eventstore.Batch {
	const typ = "Sized"
	data := make([]byte, bytes-len(eventstore.EventID{})-len(typ)-1)
	return eventstore.Batch{Stream: "sized", Expect: eventstore.Any, Events: []eventstore.Event{{Type: typ, Metadata: []byte{1}, Data: data}}}
}

func malformed() map[string]eventstore.Append {
	typed := func(typ string) eventstore.Append {
		return numbered(eventstore.Batch{Stream: "a", Expect: eventstore.Any, Events: []eventstore.Event{{Type: typ}}})
	}
	skipping := numbered(to("a", eventstore.Any, "1", "2"))
	skipping.Batches[0].Events[1].ID = skipping.Batches[0].Events[1].ID.Next()
	again := numbered(to("a", eventstore.Any, "1"), to("b", eventstore.Any, "2"))
	again.Batches[1].Events[0].ID = again.FirstID()
	version4 := numbered(to("a", eventstore.Any, "1"))
	version4.Batches[0].Events[0].ID[6] = 0x40
	many, wide := to("a", eventstore.Any), eventstore.Append{}
	for range eventstore.MaxEventsAppend + 1 {
		many.Events = append(many.Events, eventstore.Event{Type: "E"})
	}
	for i := range eventstore.MaxBatches + 1 {
		wide.Batches = append(wide.Batches, at(fmt.Sprintf("none-%d", i), 0))
	}
	return map[string]eventstore.Append{
		"no batches":                         {},
		"too many batches":                   wide,
		"too many events":                    numbered(many),
		"a byte too many":                    numbered(sized(eventstore.MaxAppendBytes + 1)),
		"a stream without a name":            numbered(to("", eventstore.Any, "x")),
		"a stream with too long a name":      numbered(to(strings.Repeat("a", eventstore.MaxStreamID+1), eventstore.Any, "x")),
		"a stream with a space in its name":  numbered(to("a b", eventstore.Any, "x")),
		"a stream with a NUL in its name":    numbered(to("a\x00", eventstore.Any, "x")),
		"a stream with an accent":            numbered(to("é", eventstore.Any, "x")),
		"an assertion of a malformed stream": numbered(to("a", eventstore.Any, "x"), at("b c", 0)),
		"a stream named by two batches":      numbered(to("a", eventstore.Any, "x"), to("b", eventstore.Any, "x"), to("a", eventstore.Any, "x")),
		"a stream written and asserted":      numbered(to("a", eventstore.Any, "x"), at("a", 1)),
		"no event type":                      typed(""),
		"too long an event type":             typed(strings.Repeat("T", eventstore.MaxEventType+1)),
		"an event type with a space":         typed("Job Submitted"),
		"no event id":                        {Batches: []eventstore.Batch{to("a", eventstore.Any, "x")}},
		"an event id of version 4":           version4,
		"ids that are not consecutive":       skipping,
		"one id for two events":              again,
	}
}
