// Package fault is the one form of an error that a person or a program outside
// may see: what could not be done, to what, and why. Its text reads
//
//	cannot bind job 7f3k9qd2: attempt 1 is stale, next is 2
//
// and its kind is mapped to HTTP in one place and to gRPC in one place.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what sort of answer a fault is.
type Kind uint8

const (
	Internal        Kind = iota // a bug of ours, or something broke
	Invalid                     // what was asked for is malformed; asking again is useless
	NotFound                    // there is no such thing
	Refused                     // the thing's state does not allow it
	Conflict                    // it contradicts something done before, such as the use of a key
	Unauthenticated             // it is not known who asks
	Forbidden                   // who asks may not
	TooLarge                    // it is beyond a limit of size
	Busy                        // not now; the same may be asked again
	Unavailable                 // the system can't answer now
)

var kinds = [...]string{
	Internal: "internal", Invalid: "invalid", NotFound: "not_found", Refused: "refused", Conflict: "conflict",
	Unauthenticated: "unauthenticated", Forbidden: "forbidden", TooLarge: "too_large", Busy: "busy", Unavailable: "unavailable",
}

// String returns the kind as one lower-case word.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("kind_%d", uint8(k))
}

// Field is what is wrong with one part of what was asked for.
type Field struct {
	Location string // such as steps[1].timeout; empty is the whole
	Message  string // such as: "2 gigs" is not a size; a number and a unit, such as 512Mi or 2Gi
	Value    string // as it was given, cut; empty if it isn't worth showing
	Help     string // the end of Message that says what would do, or empty
	Line     int    // where in the text it stands, from 1; 0 is unknown
	Column   int    // in characters, from 1; 0 is unknown
}

// String returns location and message.
func (f Field) String() string {
	if f.Location == "" {
		return f.Message
	}
	return f.Location + ": " + f.Message
}

// Short returns the message without Help, for faces that show the two apart.
func (f Field) Short() string { return strings.TrimSuffix(f.Message, "; "+f.Help) }

// Error is a fault. It must not be changed once it was returned.
type Error struct {
	Kind    Kind
	Op      string  // a verb in the infinitive, such as bind; with Subject the object of "cannot"
	Subject string  // such as job 7f3k9qd2; may be empty
	Reason  string  // lower case, no final stop, with both numbers if there are two
	Help    string  // what would help, or empty
	Fields  []Field // of an Invalid one: everything that is wrong, not only the first
	Cause   error   // for the server's own records, or nil; never part of the text
}

// Error returns "cannot Op Subject: Reason".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString("cannot ")
		b.WriteString(e.Op)
		if e.Subject != "" {
			b.WriteByte(' ')
			b.WriteString(e.Subject)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.reason())
	return b.String()
}

func (e *Error) reason() string {
	switch {
	case e.Reason != "":
		return e.Reason
	case len(e.Fields) == 1:
		return e.Fields[0].String()
	case len(e.Fields) > 1:
		return fmt.Sprintf("%s (and %d more)", e.Fields[0], len(e.Fields)-1)
	}
	return e.Kind.String()
}

// Unwrap returns Cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is a fault of the same kind, operation, subject and
// reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Op == e.Op && t.Subject == e.Subject && t.reason() == e.reason()
}

// Refuse returns a Refused fault: the state of the subject does not allow op.
func Refuse(op, subject, format string, args ...any) error {
	return &Error{Kind: Refused, Op: op, Subject: subject, Reason: fmt.Sprintf(format, args...)}
}

// Missing returns a NotFound fault: there is no such subject.
func Missing(op, subject, format string, args ...any) error {
	return &Error{Kind: NotFound, Op: op, Subject: subject, Reason: fmt.Sprintf(format, args...)}
}

// Malformed returns an Invalid fault that names what is wrong, or nil if fields
// is empty.
func Malformed(op, subject string, fields ...Field) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Op: op, Subject: subject, Fields: fields}
}

// About returns err with its subject completed by the name of the thing: an
// aggregate knows that it is a job, its caller knows which. Other errors, and
// faults that name what they are about, are returned as they are.
func About(err error, name string) error {
	var e *Error
	if name == "" || !errors.As(err, &e) || strings.Contains(e.Subject, " ") {
		return err
	}
	about := *e
	about.Subject = strings.TrimSpace(e.Subject + " " + name)
	return &about
}

// KindOf returns the kind of the fault in err's chain; Internal if there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
