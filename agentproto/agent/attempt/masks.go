package attempt

import (
	"context"
	"errors"
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
// one something will not be masked. The error says that they are too many to be
// masked; the masks then serve for what is told of that.
func newMasks(secrets []*agentprotov1.Secret, budget *mask.Budget, box *outbox.Box) (masks, error) {
	values := make([][]byte, len(secrets))
	for i, s := range secrets {
		values[i] = s.GetValue()
	}
	set, notes := budget.New(values)
	m := masks{set, set.Writer(box.Writer(outbox.Stdout)), set.Writer(box.Writer(outbox.Stderr))}
	for _, n := range notes {
		name := secrets[n.Secret].GetName()
		if errors.Is(n.Err, mask.ErrFull) {
			return m, fmt.Errorf("cannot mask the secret %s: %w", name, n.Err)
		}
		// A box takes all it is given, or the attempt is over.
		_, _ = io.WriteString(box.Writer(outbox.Stderr), noteLine(name, n))
	}
	return m, nil
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

// listen lets steps add secrets to the masks while they run.
func (a *Attempt) listen(ctx context.Context, steps func()) error {
	server, err := a.parts.Sockets.Listen(a.masks.Add)
	if err != nil {
		return err
	}
	a.socket = server.Path()
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Run(ctx)
	}()
	steps()
	stop()
	<-ended
	return nil
}
