package attempt

import (
	"fmt"
	"io"
	"strings"

	"github.com/hodei-jobs/hodei/agentproto/agent/mask"
	"github.com/hodei-jobs/hodei/agentproto/agent/outbox"
	agentprotov1 "github.com/hodei-jobs/hodei/agentproto/v1"
)

// masks stands between what an attempt's processes write and every way out of
// this machine: the outbox, the names of steps, the words of a result.
type masks struct {
	*mask.Set
	stdout, stderr *mask.Writer
}

// newMasks makes them of the attempt's secrets, and says in its output of which
// one something will not be masked.
func newMasks(secrets []*agentprotov1.Secret, box *outbox.Box) masks {
	values := make([][]byte, len(secrets))
	for i, s := range secrets {
		values[i] = s.GetValue()
	}
	set, notes := mask.New(values)
	for _, n := range notes {
		// A box takes all it is given, or the attempt is over.
		_, _ = io.WriteString(box.Writer(outbox.Stderr), noteLine(secrets[n.Secret].GetName(), n))
	}
	return masks{set, set.Writer(box.Writer(outbox.Stdout)), set.Writer(box.Writer(outbox.Stderr))}
}

func noteLine(name string, n mask.Note) string {
	if n.Err != nil {
		return fmt.Sprintf("hodei: the secret %s is not masked: %v\n", name, n.Err)
	}
	return fmt.Sprintf("hodei: the secret %s is too short to be masked in every form: not in part of %s\n", name, strings.Join(n.Unused, ", "))
}

// endStep shows what was held back because it might have been the beginning of a
// secret: the step's streams have ended.
func (m masks) endStep() {
	_ = m.stdout.Close()
	_ = m.stderr.Close()
}
