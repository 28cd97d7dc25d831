package projections_test

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/event"
	"github.com/hodei-jobs/hodei/eventstore"
	"github.com/hodei-jobs/hodei/projections"
	"github.com/hodei-jobs/hodei/projections/worldtest"
)

const (
	// goldenLog has a line a record: time, stream, type, data in base64. Lines are
	// only ever added, at its end.
	goldenLog = "testdata/world.log"
	// goldenWorlds has the Version, and the digest of the World of that log at
	// positions of it.
	goldenWorlds = "testdata/world.golden"

	goldenEvery = 20 // records
)

var update = flag.Bool("update", false, "write the golden digests of the World anew, after Version was raised")

func readGoldenLog(t *testing.T) *worldtest.Log {
	t.Helper()
	text, err := os.ReadFile(goldenLog)
	if err != nil {
		t.Fatal(err)
	}
	l := worldtest.New()
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(fields) != 4 {
			t.Fatalf("%s: line %d has %d fields", goldenLog, l.Head()+1, len(fields))
		}
		data, err := base64.StdEncoding.DecodeString(fields[3])
		if err == nil {
			_, err = fmt.Sscan(fields[0], &l.Now)
		}
		if err != nil {
			t.Fatalf("%s: line %d: %v", goldenLog, l.Head()+1, err)
		}
		l.AddRaw(fields[1], fields[2], data)
	}
	return l
}

// digestsAt returns a line for each of the positions, which ascend.
func digestsAt(l *worldtest.Log, positions []eventstore.Position) (lines []string) {
	w := projections.NewWorld()
	for _, p := range positions {
		l.Apply(w, min(p, l.Head()))
		lines = append(lines, fmt.Sprintf("%d %x", p, w.Digest()))
	}
	return lines
}

// readGoldenWorlds returns the version, the lines after it and their positions.
func readGoldenWorlds(t *testing.T) (version string, lines []string, at []eventstore.Position) {
	t.Helper()
	text, err := os.ReadFile(goldenWorlds)
	if err != nil && !*update {
		t.Fatal(err)
	}
	version, rest, _ := strings.Cut(string(text), "\n")
	for line := range strings.Lines(rest) {
		var p eventstore.Position
		if _, err := fmt.Sscan(line, &p); err != nil {
			t.Fatalf("%s: %q: %v", goldenWorlds, line, err)
		}
		lines, at = append(lines, strings.TrimSpace(line)), append(at, p)
	}
	return version, lines, at
}

// A snapshot of a World that was made by other rules must not be used: who changes
// what follows from a log, or its canonical form, raises Version. This test tells.
func TestVersionIsRaisedWithTheRules(t *testing.T) {
	l := readGoldenLog(t)
	version, want, at := readGoldenWorlds(t)
	if version == projections.Version {
		for i, got := range digestsAt(l, at) {
			if got != want[i] {
				t.Fatalf("since Version %s was set, another World follows from the log, first seen at #%d of %s. "+
					"If that is meant, raise projections.Version, so that no snapshot by the old rules is used, and run this test with -update",
					version, at[i], goldenLog)
			}
		}
		if len(at) > 0 && at[len(at)-1] == l.Head() {
			return
		}
	}
	if !*update {
		t.Fatalf("%s is of Version %q, or %s goes on after it: run go test ./projections -run %s -update", goldenWorlds, version, goldenLog, t.Name())
	}
	at = nil
	for p := eventstore.Position(0); p < l.Head(); p += goldenEvery {
		at = append(at, p)
	}
	lines := append([]string{projections.Version}, digestsAt(l, append(at, l.Head()))...)
	if err := os.WriteFile(goldenWorlds, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The golden log shows what it should: every type of event, and each freezing.
func TestTheGoldenLogHasAll(t *testing.T) {
	l := readGoldenLog(t)
	have := make(map[string]bool)
	for _, r := range l.Records {
		have[r.Type] = true
	}
	for _, typ := range event.Types() {
		if !have[typ] {
			t.Errorf("%s has no %s: add a line at its end, TIME STREAM %s BASE64, and run with -update", goldenLog, typ, typ)
		}
	}
	why := make(map[projections.Verdict]bool)
	for _, f := range l.World().Frozen() {
		why[f.Why] = true
	}
	if !why[projections.Undecodable] || !why[projections.Impossible] {
		t.Errorf("streams are frozen because of %v", why)
	}
	if w := l.World(); w.Queue.Waiting() == 0 || w.Cluster.Live() == 0 || w.Jobs.Len() < 10 {
		t.Errorf("%d jobs wait, %d are live, %d are known", w.Queue.Waiting(), w.Cluster.Live(), w.Jobs.Len())
	}
}
