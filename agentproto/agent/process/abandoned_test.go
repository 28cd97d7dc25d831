package process_test

import (
	"os/exec"
	"testing"

	"github.com/hodei-jobs/hodei/agentproto/agent/process"
)

func TestWhatADeadAgentsJobsLeftIsKilled(t *testing.T) {
	own := t.TempDir()
	leave := func(workspace string) (alive func() int) {
		seconds, alive := sleeper(t)
		cmd := exec.Command("sh", "-c", "setsid sleep "+seconds+" & exit 0")
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HODEI_WORKSPACE=" + workspace}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "it runs", func() bool { return alive() == 1 })
		return alive
	}
	ours, other, similar := leave(own+"/7"), leave(t.TempDir()+"/7"), leave(own+"-2/7")
	t.Setenv("HODEI_WORKSPACE", own+"/1") // which says nothing of this program itself
	if killed := process.KillAbandoned("HODEI_WORKSPACE", own); killed != 1 || ours() != 0 {
		t.Errorf("killed %d, %d live on", killed, ours())
	}
	if other() != 1 || similar() != 1 {
		t.Errorf("of other agents %d and %d live", other(), similar())
	}
	if killed := process.KillAbandoned("HODEI_WORKSPACE", own); killed != 0 {
		t.Errorf("killed %d again", killed)
	}
}
