// Package token is the life of one token. There are two sorts, each in a stream of
// its own token: an API token is created, is used any number of times and may be
// revoked; a worker token is signed, not recorded, until it is used, and is
// bound to the first key that comes with it.
//
//	API token        Create ──▶ active ── Revoke ──▶ revoked
//	worker token     Use ─────▶ used ──── Revoke ──▶ revoked
//
// State, Evolve and Decide are pure. A decision is idempotent: what has been
// decided once yields nothing the second time.
package token

import (
	"fmt"
	"slices"
	"time"
)

// AllNamespaces is the namespace of a token that is good for all.
const AllNamespaces = "*"

// Bounds of what is recorded of a token.
const (
	MaxName     = 128  // bytes
	MaxReason   = 1024 // bytes
	MaxLifetime = 10 * 365 * 24 * time.Hour
	MaxRefusals = 16 // WorkerTokenRefused events
	HashBytes   = 32 // SHA-256
	HintBytes   = 4
	KeyBytes    = 32 // an Ed25519 public key
)

// Status is where in its life a token is.
type Status uint8

const (
	// None: nothing was recorded of it. A worker token is used for the first time
	// in this state.
	None Status = iota
	// Active: an API token that is accepted.
	Active
	// Used: a worker token that is bound to a key.
	Used
	// Revoked: it is accepted no longer.
	Revoked
)

// Statuses are all statuses in order.
var Statuses = []Status{None, Active, Used, Revoked}

var statusNames = [...]string{None: "none", Active: "active", Used: "used", Revoked: "revoked"}

// String returns the status as it is written everywhere.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status_%d", uint8(s))
}

// Role is what a token may do. Each includes those before it.
type Role uint8

const (
	// Nobody may nothing.
	Nobody Role = iota
	// Viewer may read.
	Viewer
	// Submitter may submit and cancel jobs.
	Submitter
	// Operator may change workers, namespaces' state and settings.
	Operator
	// Admin may do all.
	Admin
)

var roleNames = []string{Nobody: "nobody", Viewer: "viewer", Submitter: "submitter", Operator: "operator", Admin: "admin"}

// Roles are the roles a token can have, the least first.
var Roles = []Role{Viewer, Submitter, Operator, Admin}

// String returns the role as it is written everywhere.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role_%d", uint8(r))
}

// ParseRole returns the role that String writes as name. Nobody is not one that
// can be given.
func ParseRole(name string) (Role, bool) {
	i := slices.Index(roleNames, name)
	if i <= int(Nobody) {
		return Nobody, false
	}
	return Role(i), true
}

// Allows reports whether who has r may do what needs the other role.
func (r Role) Allows(needed Role) bool {
	return r <= Admin && needed > Nobody && needed <= r
}

// MarshalText writes what String returns; it also serves JSON.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what ParseRole does.
func (r *Role) UnmarshalText(text []byte) error {
	parsed, ok := ParseRole(string(text))
	if !ok {
		return fmt.Errorf("%q is not a role: viewer, submitter, operator, admin may be", text)
	}
	*r = parsed
	return nil
}
