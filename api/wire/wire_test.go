package wire_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/job"
	"github.com/hodei-jobs/hodei/api/wire"
)

// A job has ended on the wire when it has ended.
func TestTerminalIsAsTheAggregateSays(t *testing.T) {
	for st := job.Pending; st <= job.Lost; st++ {
		if j := (wire.Job{State: st.String()}); j.Terminal() != st.Terminal() {
			t.Errorf("%s: %v", st, j.Terminal())
		}
	}
}

func TestAPieceComesBackAsItsBytes(t *testing.T) {
	for name, p := range map[string]wire.LogPiece{"text": {T: "a\x00\u2028"}, "bytes": {B: []byte{0xff, 0}}, "nothing": {}} {
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var again wire.LogPiece
		if err := json.Unmarshal(b, &again); err != nil || string(again.Bytes()) != string(p.Bytes()) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
}

func TestAProblemIsAnError(t *testing.T) {
	var err error = wire.NewProblem(404, "not_found", "there is no job x")
	var p *wire.Problem
	if !errors.As(err, &p) || err.Error() != "there is no job x" || p.GetStatus() != 404 || p.Title != "Not Found" {
		t.Errorf("%+v", err)
	}
	if err := wire.NewProblem(502, "", ""); err.Error() != "bad gateway" {
		t.Errorf("%s", err)
	}
}
