package storetest

import (
	"bytes"
	"fmt"

	"github.com/hodei-jobs/hodei/eventstore"
)

var snapshotCases = []testCase{
	{"the newest of a name and version at or below a position is loaded", func(p *proof) {
		p.six()
		for _, at := range []eventstore.Position{2, 4, 6} {
			p.save("world", "1", at, 9)
		}
		p.save("world", "2", 5, 9)
		p.save("other", "1", 3, 9)
		check := func() {
			p.Helper()
			for _, row := range []struct {
				name, version string
				at, want      eventstore.Position
			}{
				{"world", "1", 0, 6}, {"world", "1", 6, 6}, {"world", "1", 99, 6}, {"world", "1", 5, 4},
				{"world", "1", 4, 4}, {"world", "1", 3, 2}, {"world", "1", 1, 0},
				{"world", "2", 0, 5}, {"world", "2", 4, 0}, {"world", "3", 0, 0},
				{"other", "1", 0, 3}, {"none", "1", 0, 0},
			} {
				p.loads(row.name, row.version, row.at, row.want)
			}
			p.lists("world", 2, 4, 5, 6)
			p.lists("none")
		}
		check()
		p.reopen()
		check()
	}},
	{"the newest few stay, older ones are removed", func(p *proof) {
		p.six()
		p.save("other", "1", 1, 1)
		for at := eventstore.Position(1); at <= 6; at++ {
			p.save("world", "1", at, 3)
		}
		p.lists("world", 4, 5, 6)
		p.lists("other", 1)
		p.loads("world", "1", 3, 0)
		p.save("world", "1", 6, 1)
		p.lists("world", 6)
	}},
	{"one is replaced by another of the same position", func(p *proof) {
		p.six()
		p.save("world", "1", 3, 2)
		s := eventstore.Snapshot{Name: "world", Version: "1", Position: 3, Data: []byte("another")}
		if err := p.store.SaveSnapshot(p.ctx, s, 2); err != nil {
			p.Fatal(err)
		}
		got, ok, _, err := p.store.LoadSnapshot(p.ctx, "world", "1", 0)
		if err != nil || !ok || string(got.Data) != "another" {
			p.Errorf("loaded %q, %v, %v", got.Data, ok, err)
		}
		p.lists("world", 3)
	}},
	{"the store fills in the chain, whatever the caller says", func(p *proof) {
		p.six()
		s := eventstore.Snapshot{Name: "world", Version: "1", Position: 4, Chain: eventstore.Hash{1, 2, 3}, Data: []byte{0}}
		if err := p.store.SaveSnapshot(p.ctx, s, 1); err != nil {
			p.Fatal(err)
		}
		got, ok, _, err := p.store.LoadSnapshot(p.ctx, "world", "1", 0)
		if err != nil || !ok || got.Chain != p.chain(4) {
			p.Errorf("its chain is %s, %v, %v; that of the log %s", got.Chain, ok, err, p.chain(4))
		}
	}},
	{"one may be large or empty", func(p *proof) {
		p.six()
		for at, data := range map[eventstore.Position][]byte{1: nil, 2: bytes.Repeat([]byte("hodei"), 500_000)} {
			if err := p.store.SaveSnapshot(p.ctx, eventstore.Snapshot{Name: "world", Position: at, Data: data}, 9); err != nil {
				p.Fatal(err)
			}
			got, ok, skipped, err := p.store.LoadSnapshot(p.ctx, "world", "", at)
			if err != nil || !ok || len(skipped) > 0 || got.Position != at || !bytes.Equal(got.Data, data) {
				p.Errorf("of %d bytes %d came back, %v, %v, %v", len(data), len(got.Data), ok, skipped, err)
			}
		}
	}},
	{"one of a position that the log does not have is refused", func(p *proof) {
		p.six()
		if err := p.store.SaveSnapshot(p.ctx, eventstore.Snapshot{Name: "world", Version: "1", Position: 7}, 1); err == nil {
			p.Error("it was saved")
		}
		p.lists("world")
	}},
}

func snapshotData(name, version string, at eventstore.Position) []byte {
	return fmt.Appendf(nil, "%s %s at #%d", name, version, at)
}

func (p *proof) save(name, version string, at eventstore.Position, keep int) {
	p.Helper()
	s := eventstore.Snapshot{Name: name, Version: version, Position: at, Data: snapshotData(name, version, at)}
	if err := p.store.SaveSnapshot(p.ctx, s, keep); err != nil {
		p.Fatalf("cannot save %s at #%d: %v", name, at, err)
	}
}

// loads checks what is loaded; want 0 means nothing.
func (p *proof) loads(name, version string, at, want eventstore.Position) {
	p.Helper()
	got, ok, skipped, err := p.store.LoadSnapshot(p.ctx, name, version, at)
	switch {
	case err != nil || len(skipped) > 0:
		p.Errorf("%s %s at #%d: %v, passed over %v", name, version, at, err, skipped)
	case ok != (want > 0) || got.Position != want:
		p.Errorf("%s %s at #%d: loaded #%d, %v; want #%d", name, version, at, got.Position, ok, want)
	case ok && (got.Name != name || got.Version != version || !bytes.Equal(got.Data, snapshotData(name, version, want)) || got.Chain != p.chain(want)):
		p.Errorf("%s %s at #%d came back as another", name, version, want)
	}
}

func (p *proof) lists(name string, want ...eventstore.Position) {
	p.Helper()
	got, err := p.store.ListSnapshots(p.ctx, name)
	if err != nil {
		p.Fatal(err)
	}
	same(p, "snapshots of "+name, got, want...)
}
