package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/eventstore"
)

// storeFault puts what the store answered into the words of a fault. Faults and
// the context's errors stay what they are.
func storeFault(err error) error {
	var known *fault.Error
	var readOnly *eventstore.ReadOnlyError
	var failed *eventstore.FailedError
	var invalid *eventstore.InvalidError
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &readOnly):
		return unavailable(readOnly.Error(), err)
	case errors.As(err, &failed):
		return unavailable("the event store has stopped; whether this was recorded is known when it is open again", err)
	case errors.Is(err, eventstore.ErrClosed):
		return unavailable("the event store is closed", err)
	case errors.As(err, &invalid):
		return &fault.Error{Kind: fault.TooLarge, Op: "record", Subject: string(invalid.Stream), Reason: invalid.Reason, Cause: err}
	}
	return &fault.Error{Kind: fault.Internal, Op: "use the event store", Reason: err.Error(), Cause: err}
}

func unavailable(reason string, cause error) error {
	return &fault.Error{Kind: fault.Unavailable, Op: "record", Reason: reason, Cause: cause}
}

// contended is the answer to a command that lost against other writers maxTries
// times.
func contended(cause error) error {
	reason := fmt.Sprintf("others changed it %d times meanwhile", maxTries)
	return &fault.Error{Kind: fault.Busy, Op: "record", Reason: reason, Help: "try again", Cause: cause}
}

// unseen is the answer when an event is recorded but the caller can't wait
// until it is shown.
func unseen(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return unavailable("it is recorded, but this server doesn't show it yet", err)
}
