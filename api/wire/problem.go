package wire

import (
	"net/http"
	"strings"
)

// Problem is an error as every face gets it (RFC 9457, application/problem+json).
type Problem struct {
	Type   string   `json:"type,omitempty" doc:"Always about:blank" example:"about:blank"`
	Title  string   `json:"title" doc:"The status in words" example:"Unprocessable Entity"`
	Status int      `json:"status" example:"422"`
	Detail string   `json:"detail" doc:"What is wrong, as a sentence" example:"cannot submit job: resources.memory: \"2 gigs\" is not a size"`
	Kind   string   `json:"kind,omitempty" doc:"The error's kind, stable for programs" example:"invalid"`
	Help   string   `json:"help,omitempty" doc:"What to do next"`
	Errors []Detail `json:"errors,omitempty" doc:"Each fault with its place"`
}

// Detail is one fault of a problem.
type Detail struct {
	Location string `json:"location,omitempty" doc:"Where it stands in the request: body, body.resources.memory, body.jobs[3].env, query.limit, header.Accept or path.id" example:"body.resources.memory"`
	Message  string `json:"message" doc:"What is wrong with it"`
	Value    any    `json:"value,omitempty" doc:"What was sent"`
	Help     string `json:"help,omitempty" doc:"What would do"`
}

// Error makes a problem an error.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return strings.ToLower(p.Title)
}

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType turns the negotiated JSON type into the problem's own.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// NewProblem returns a problem of that status.
func NewProblem(status int, kind, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Kind: kind, Detail: detail}
}
