package wire

import "time"

// Token is an API token as lists show it: never the token itself.
type Token struct {
	ID        string     `json:"id" example:"t2c8v0xk"`
	Name      string     `json:"name" example:"ci"`
	Hint      string     `json:"hint" doc:"Its last characters, to recognise it" example:"x4Q7"`
	Role      string     `json:"role" enum:"viewer,submitter,operator,admin"`
	Namespace string     `json:"namespace" doc:"The one it is for; * is all"`
	State     string     `json:"state" enum:"active,expired,revoked"`
	Created   time.Time  `json:"created_at"`
	Expires   *time.Time `json:"expires_at,omitempty" doc:"Absent if it never does"`
	Revoked   *time.Time `json:"revoked_at,omitempty"`
	Used      *time.Time `json:"used_at,omitempty" doc:"When the server last accepted it, to the minute; after a crash it may be an hour too early"`
}

// Tokens is a page of tokens, by id.
type Tokens struct {
	Items []Token `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

// MadeToken is a token that was just made, with the token itself.
type MadeToken struct {
	Token
	Plain string `json:"token" doc:"The token itself: a secret that is kept nowhere and is shown this once"`
}

// Namespace is where jobs are submitted to.
type Namespace struct {
	Name        string     `json:"name" example:"web"`
	Description string     `json:"description,omitempty"`
	Created     *time.Time `json:"created_at,omitempty"`
	Paused      bool       `json:"paused" doc:"Its waiting jobs are not placed; those that run go on"`
	Reason      string     `json:"reason,omitempty" doc:"Why it is paused"`
	Waiting     int        `json:"waiting" doc:"Jobs that wait"`
	Running     int        `json:"running" doc:"Jobs that run or are about to"`
}

// Namespaces is a page of namespaces, by name.
type Namespaces struct {
	Items []Namespace `json:"items"`
	Next  string      `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

// PersonalSession is the session of a person who has signed in for a command line.
type PersonalSession struct {
	ID        string    `json:"id" doc:"Of its token"`
	Name      string    `json:"name" doc:"What the person is called"`
	Role      string    `json:"role"`
	Namespace string    `json:"namespace"`
	Expires   time.Time `json:"expires_at"`
	Plain     string    `json:"token" doc:"The token itself: a secret"`
}
