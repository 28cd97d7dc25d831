package agent_test

import (
	"testing"

	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

func TestAJobFromAssignToResult(t *testing.T) {
	d := newDouble(t)
	startAgent(t, d)
	s := d.next().welcome()
	r := s.run("j1", nil, "echo hello; pwd; env | sort; test ! -t 0 && test -t 1", "echo second >&2; exit 3", "echo never")
	t.Logf("%v\n%s", r, s.log["j1"])
	for _, u := range s.steps {
		t.Log(u)
	}
	_ = agentprotov1.Result{}
}
