package api

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/spec"
)

// aliases tells the OpenAPI document how types look that read and write
// themselves: it shows the types below instead. The server reads a spec with
// spec.Parse, which says more than a schema can; a test holds both to the same
// fields.
func aliases(r huma.Registry) {
	r.RegisterTypeAlias(typeOf[spec.Spec](), typeOf[Spec]())
}

// Spec is a job as its user asks for it.
type Spec struct {
	Name      string                `json:"name,omitempty" maxLength:"128" doc:"What it is called; taken from the command if left out" example:"build-web"`
	Namespace string                `json:"namespace,omitempty" maxLength:"63" doc:"Where it belongs; the token's, or default" example:"default"`
	Pool      string                `json:"pool,omitempty" maxLength:"63" doc:"Pool of workers it may run on; any worker of no pool if left out"`
	Command   string                `json:"command,omitempty" doc:"A script for the shell. Exactly one of command, steps and argv is given" example:"make test"`
	Steps     []SpecStep            `json:"steps,omitempty" maxItems:"1000" doc:"Scripts run in order in one workspace"`
	Argv      []string              `json:"argv,omitempty" doc:"A program and its arguments, without a shell"`
	Shell     string                `json:"shell,omitempty" doc:"Shell of command and steps; /bin/sh if left out"`
	TTY       *bool                 `json:"tty,omitempty" doc:"Run in a terminal; true if left out. Otherwise pipes, with standard error apart"`
	Env       map[string]string     `json:"env,omitempty" doc:"Environment; names that begin with HODEI_ or LD_ are refused"`
	Secrets   map[string]SpecSecret `json:"secrets,omitempty" doc:"Variables whose values are not shown: the value, or the name of a stored secret. They are not also in env"`
	Labels    map[string]string     `json:"labels,omitempty" doc:"What it is, to find it by"`
	Requires  map[string]string     `json:"requires,omitempty" doc:"Labels the worker must have; os and arch are its own"`
	Resources *SpecResources        `json:"resources,omitempty" doc:"What it needs of a worker; 100m CPU if left out"`
	Priority  int32                 `json:"priority,omitempty" minimum:"-100" maximum:"100" doc:"Higher goes first; a point is worth a minute of waiting unless set otherwise"`
	Timeout   string                `json:"timeout,omitempty" doc:"Time limit of one attempt" example:"30m"`
	Retries   *SpecRetries          `json:"retries,omitempty" doc:"When it is tried again; never if left out"`
	Cancel    *SpecCancel           `json:"cancel,omitempty" doc:"How it is stopped"`
	Exclusive bool                  `json:"exclusive,omitempty" doc:"Never two attempts at once, even if a worker is lost"`
	LogLimit  string                `json:"log_limit,omitempty" doc:"How much of one attempt's output is kept; the job goes on beyond it, and a line tells of it. 4Ki to 64Gi; 256Mi if left out" example:"1Gi"`
}

// SpecSecret is a secret's value, or where it is stored.
type SpecSecret struct{}

// Schema implements huma.SchemaProvider.
func (SpecSecret) Schema(huma.Registry) *huma.Schema {
	value, name, first := spec.MaxSecretValue, spec.MaxSecretName, 1.0
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeString, MaxLength: &value, Description: "The value. It is sealed before it is stored, and shown as {\"sealed\": true}"},
		{Type: huma.TypeObject, Required: []string{"from"}, AdditionalProperties: false, Properties: map[string]*huma.Schema{
			"from":    {Type: huma.TypeString, MaxLength: &name, Description: "Name of a stored secret of the job's namespace"},
			"version": {Type: huma.TypeInteger, Minimum: &first, Description: "Its version; the newest if left out"},
		}},
	}}
}

// SpecStep is one script of a job.
type SpecStep struct {
	Name            string            `json:"name,omitempty" maxLength:"128"`
	Run             string            `json:"run" doc:"A script for the shell"`
	Env             map[string]string `json:"env,omitempty" doc:"Over the job's"`
	Timeout         string            `json:"timeout,omitempty" example:"5m"`
	ContinueOnError bool              `json:"continue_on_error,omitempty" doc:"Go on if it fails"`
}

// SpecResources is what a job needs of a worker.
type SpecResources struct {
	CPU    string `json:"cpu,omitempty" example:"500m"`
	Memory string `json:"memory,omitempty" example:"2Gi"`
	Disk   string `json:"disk,omitempty" example:"10Gi"`
}

// SpecRetries says when a job is tried again.
type SpecRetries struct {
	Max     uint32   `json:"max,omitempty" maximum:"100" doc:"How often"`
	On      []string `json:"on,omitempty" enum:"cannot_start,disk_full,exit,log_lost,lost,out_of_memory,secret_unavailable,signal,stopped_by_worker,timed_out" doc:"After which causes; all if left out"`
	Backoff string   `json:"backoff,omitempty" doc:"Wait before the first; doubles each time" example:"10s"`
}

// SpecCancel is how a job is stopped.
type SpecCancel struct {
	Signal string `json:"signal,omitempty" enum:"HUP,INT,KILL,QUIT,TERM,USR1,USR2" doc:"TERM if left out"`
	Grace  string `json:"grace,omitempty" doc:"From the signal to KILL; 10s if left out" example:"10s"`
}
