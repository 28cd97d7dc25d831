package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestText(t *testing.T) {
	size := Field{Location: "resources.memory", Message: `"2 gigs" is not a size; a number and a unit`, Help: "a number and a unit"}
	for _, test := range []struct {
		err  error
		want string
	}{
		{Refuse("bind", "job 7f3k9qd2", "attempt %d is stale, next is %d", 1, 2), "cannot bind job 7f3k9qd2: attempt 1 is stale, next is 2"},
		{Missing("read", "job", "there is no such job"), "cannot read job: there is no such job"},
		{Malformed("accept", "this spec", size), `cannot accept this spec: resources.memory: "2 gigs" is not a size; a number and a unit`},
		{Malformed("accept", "this spec", size, size), `cannot accept this spec: resources.memory: "2 gigs" is not a size; a number and a unit (and 1 more)`},
		{Malformed("accept", "this spec", Field{Message: "it is empty"}), "cannot accept this spec: it is empty"},
		{&Error{Kind: Busy}, "busy"},
		{&Error{Kind: Busy, Op: "submit"}, "cannot submit: busy"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%s\nwant %s", got, test.want)
		}
	}
	if Malformed("accept", "this spec") != nil {
		t.Error("nothing wrong is a fault")
	}
	if got := size.Short(); got != `"2 gigs" is not a size` {
		t.Errorf("short: %s", got)
	}
}

func TestAbout(t *testing.T) {
	base := Refuse("bind", "job", "it is bound")
	named := About(fmt.Errorf("while planning: %w", base), "7f3k9qd2")
	if named.Error() != "cannot bind job 7f3k9qd2: it is bound" {
		t.Error(named)
	}
	if base.Error() != "cannot bind job: it is bound" {
		t.Error("the fault was changed:", base)
	}
	if again := About(named, "other"); again != named {
		t.Error("a named fault is named again:", again)
	}
	other := errors.New("other")
	if About(other, "x") != other || About(nil, "x") != nil || About(base, "") != base {
		t.Error("what can't be named is changed")
	}
}

func TestKinds(t *testing.T) {
	cause := errors.New("disk")
	err := fmt.Errorf("wrapped: %w", &Error{Kind: Unavailable, Op: "append", Cause: cause})
	if KindOf(err) != Unavailable || !errors.Is(err, cause) {
		t.Error("kind or cause is lost")
	}
	if KindOf(cause) != Internal || KindOf(nil) != Internal {
		t.Error("what is no fault is not internal")
	}
	if !errors.Is(Refuse("a", "b", "c"), Refuse("a", "b", "c")) || errors.Is(Refuse("a", "b", "c"), Refuse("a", "b", "d")) {
		t.Error("equal faults are not equal")
	}
	if Kind(99).String() != "kind_99" || TooLarge.String() != "too_large" {
		t.Error("kinds are misnamed")
	}
}
