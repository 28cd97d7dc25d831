// Package wire holds what goes over the HTTP API in JSON: the same types are
// written by the server, documented by its OpenAPI file and read by the client.
// A field that has no value is left out, never null.
package wire

import (
	"encoding/json"
	"time"
)

// Job is a job as every list, page and event stream shows it.
type Job struct {
	ID          string          `json:"id" doc:"The job's id: 8 characters" example:"7f3k9qd2"`
	Name        string          `json:"name" doc:"What the submitter called it" example:"build-web"`
	Namespace   string          `json:"namespace" example:"default"`
	State       string          `json:"state" enum:"pending,bound,running,succeeded,failed,cancelled,timed_out,lost" doc:"Where it is in its life"`
	Attempt     uint32          `json:"attempt" doc:"The current or last attempt, from 1; 0 before the first"`
	Worker      string          `json:"worker,omitempty" doc:"Id of the worker of that attempt" example:"m2c8v0xk"`
	WorkerName  string          `json:"worker_name,omitempty" doc:"Name of that worker" example:"atlas"`
	ExitCode    *int32          `json:"exit_code,omitempty" doc:"Exit code of the attempt that ended the job"`
	Signal      string          `json:"signal,omitempty" doc:"Signal that ended it, such as KILL"`
	Forced      bool            `json:"forced,omitempty" doc:"It had not ended when the grace after its stop signal had passed, and was killed"`
	Killed      uint32          `json:"killed,omitempty" doc:"How many processes it left that were killed"`
	Escaped     bool            `json:"escaped,omitempty" doc:"Some processes it left could not be killed"`
	Reason      string          `json:"reason,omitempty" doc:"Why it waits or how it ended, as a code" example:"busy"`
	Summary     string          `json:"summary,omitempty" doc:"The reason in a few words" example:"exit code 1"`
	Explanation string          `json:"explanation,omitempty" doc:"Why it waits, as sentences; or what else is known of why it failed"`
	Help        string          `json:"help,omitempty" doc:"What would help a job that waits"`
	Waits       bool            `json:"waits_for_input,omitempty" doc:"A process of the running job waits for keyboard input, which never comes"`
	Cancelling  bool            `json:"cancelling,omitempty" doc:"Its cancellation was requested and it still runs"`
	Priority    int32           `json:"priority,omitempty"`
	Submitted   time.Time       `json:"submitted_at"`
	Started     *time.Time      `json:"started_at,omitempty" doc:"When the current or last attempt started"`
	Finished    *time.Time      `json:"finished_at,omitempty"`
	Position    uint64          `json:"position" doc:"Position of the job's submission in the event log"`
	RerunOf     string          `json:"rerun_of,omitempty" doc:"Id of the job that it does again"`
	Steps       []Step          `json:"steps,omitempty" doc:"Steps of the current or last attempt; only when one job is read"`
	Usage       *Usage          `json:"usage,omitempty" doc:"What the attempt uses or used; only when one job is read"`
	Spec        json.RawMessage `json:"spec,omitempty" doc:"What was asked for, with defaults filled in; only when one job is read"`
}

// Terminal says whether a job in this state has ended.
func (j *Job) Terminal() bool {
	switch j.State {
	case "pending", "bound", "running":
		return false
	}
	return true
}

// Step is a step of an attempt.
type Step struct {
	Step      uint32  `json:"step" doc:"From 1"`
	Name      string  `json:"name,omitempty"`
	State     string  `json:"state" enum:"running,succeeded,failed,timed_out,cancelled,skipped"`
	ExitCode  *int32  `json:"exit_code,omitempty"`
	Signal    string  `json:"signal,omitempty"`
	Seconds   float64 `json:"seconds,omitempty" doc:"How long it took"`
	LogOffset uint64  `json:"log_offset" doc:"Where its output begins in the attempt's log"`
}

// Usage is what was measured of a job's whole process tree. What could not be
// measured is absent.
type Usage struct {
	PeakMemory *uint64  `json:"peak_memory_bytes,omitempty"`
	Memory     *uint64  `json:"memory_bytes,omitempty"`
	CPUSeconds *float64 `json:"cpu_seconds,omitempty"`
	CPU        *float64 `json:"cpu,omitempty" doc:"CPUs in use"`
	PeakCPU    *float64 `json:"peak_cpu,omitempty"`
	NetRx      *uint64  `json:"net_received_bytes,omitempty"`
	NetTx      *uint64  `json:"net_sent_bytes,omitempty"`
	DiskRead   *uint64  `json:"disk_read_bytes,omitempty"`
	DiskWrite  *uint64  `json:"disk_written_bytes,omitempty"`
}

// Jobs is a page of jobs, newest first.
type Jobs struct {
	Items []Job  `json:"items"`
	Next  string `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`

	Counts Counts `json:"counts" doc:"Of all jobs in the namespace that are in memory"`
}

// Counts are numbers of jobs, from the read model.
type Counts struct {
	Waiting int `json:"waiting"`
	Running int `json:"running" doc:"Bound or running"`
	Ended   int `json:"ended"`
}

// BatchItem is the outcome of one job of a batch: a job or a problem.
type BatchItem struct {
	Job     *Job     `json:"job,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// Batch is the outcome of a batch, in its order.
type Batch struct {
	Items []BatchItem `json:"items"`
}

// Event is a record of the event log.
type Event struct {
	Position uint64          `json:"position"`
	Time     time.Time       `json:"time"`
	Stream   string          `json:"stream" example:"job-7f3k9qd2"`
	Revision uint64          `json:"revision"`
	Type     string          `json:"type" example:"JobBound"`
	ID       string          `json:"id" doc:"UUIDv7 of the event"`
	Actor    string          `json:"actor,omitempty" doc:"Id of who caused it"`
	Source   string          `json:"source,omitempty" doc:"The part that issued the command"`
	Request  string          `json:"request_id,omitempty"`
	Text     string          `json:"text" doc:"The event in words"`
	Data     json.RawMessage `json:"data" doc:"Its fields; what is 0 is left out. Durations are such as 30s (seconds is a number), what is asked for sizes such as 512Mi, labels an object"`
}

// Events is a page of events, in the order of the log or backwards.
type Events struct {
	Items []Event `json:"items"`
	Next  string  `json:"next,omitempty" doc:"Cursor of the next page; absent at the end"`
}

// Class is a group of waiting jobs with the same needs.
type Class struct {
	Class       string     `json:"class" doc:"Position of the first job that made it" example:"c47341"`
	Namespace   string     `json:"namespace"`
	Pool        string     `json:"pool,omitempty"`
	Waiting     int        `json:"waiting"`
	Oldest      *time.Time `json:"oldest_submitted_at,omitempty" doc:"When the first in line was submitted: the oldest, unless priorities say otherwise"`
	Needs       Needs      `json:"needs"`
	Reason      string     `json:"reason,omitempty" doc:"Why its first job waits, as a code" example:"busy"`
	Summary     string     `json:"summary,omitempty" doc:"The reason in a few words"`
	Explanation string     `json:"explanation,omitempty" doc:"The reason as sentences"`
	Help        string     `json:"help,omitempty" doc:"What would help"`
	Next        []string   `json:"next,omitempty" doc:"Ids of the first jobs in line, at most 10"`
}

// Needs is what a job asks of a worker.
type Needs struct {
	CPU      string            `json:"cpu,omitempty" example:"500m"`
	Memory   string            `json:"memory,omitempty" example:"512Mi"`
	Disk     string            `json:"disk,omitempty"`
	Requires map[string]string `json:"requires,omitempty"`
}

// Queue is what waits.
type Queue struct {
	Items   []Class `json:"items"`
	Waiting int     `json:"waiting" doc:"Jobs that wait, in all classes and gates"`
	Backoff int     `json:"backoff" doc:"Of them, jobs that wait for the delay of a retry"`
	Next    string  `json:"next,omitempty"`
}

// Worker is a worker as lists and pages show it.
type Worker struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	State      string            `json:"state" enum:"requested,launched,online,disconnected,lost,terminated" doc:"Its connection"`
	Cordoned   bool              `json:"cordoned,omitempty"`
	Draining   bool              `json:"draining,omitempty"`
	DrainUntil *time.Time        `json:"drain_until,omitempty" doc:"When jobs that still run on a draining worker are stopped; absent is never"`
	Since      time.Time         `json:"since" doc:"When it came into this state"`
	OS         string            `json:"os,omitempty"`
	Arch       string            `json:"arch,omitempty"`
	Version    string            `json:"version,omitempty"`
	Provider   string            `json:"provider,omitempty"`
	Pool       string            `json:"pool,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Capacity   Amount            `json:"capacity"`
	Reserved   Amount            `json:"reserved" doc:"By jobs bound to it"`
	Used       *Amount           `json:"used,omitempty" doc:"As it reported last"`
	Jobs       int               `json:"jobs" doc:"Jobs bound to it or running on it"`
	LastHeard  *time.Time        `json:"last_heard_at,omitempty"`
}

// WorkerToken registers one worker, once.
type WorkerToken struct {
	Token   string    `json:"token" doc:"A secret"`
	Server  string    `json:"server" doc:"Where agents connect to"`
	Expires time.Time `json:"expires_at"`
}

// Whoami is whose a token is.
type Whoami struct {
	ID        string     `json:"id" doc:"Of the token"`
	Name      string     `json:"name"`
	Namespace string     `json:"namespace" doc:"The one it is for; * is all"`
	Role      string     `json:"role" enum:"viewer,submitter,operator,admin"`
	Expires   *time.Time `json:"expires_at,omitempty"`
	Version   string     `json:"version" doc:"Of the server"`
}

// Reset says that what is shown must be read anew.
type Reset struct {
	Position uint64 `json:"position" doc:"Of the newest event that what is read from now on includes"`
}

// Link signs one browser in, once.
type Link struct {
	Path    string    `json:"path" doc:"Of this server; a secret"`
	Expires time.Time `json:"expires_at"`
}

// Amount is an amount of resources.
type Amount struct {
	CPU    float64 `json:"cpu" doc:"CPUs"`
	Memory uint64  `json:"memory_bytes"`
	Disk   uint64  `json:"disk_bytes,omitempty"`
}

// Workers is a page of workers.
type Workers struct {
	Items []Worker `json:"items"`
	Next  string   `json:"next,omitempty"`
}

// Secret is a stored secret. Its value is never shown.
type Secret struct {
	Name      string    `json:"name"`
	Namespace string    `json:"namespace"`
	Version   uint32    `json:"version" doc:"The newest"`
	SetAt     time.Time `json:"set_at" doc:"When the newest was set"`
	SetBy     string    `json:"set_by" doc:"Id of the token that set it"`
}

// Secrets is a page of stored secrets.
type Secrets struct {
	Items []Secret `json:"items"`
	Next  string   `json:"next,omitempty"`
}

// Version names a build.
type Version struct {
	Version string `json:"version"`
	API     string `json:"api"`
}

// Ready says whether the server can serve, and if not, why.
type Ready struct {
	Ready    bool     `json:"ready"`
	Position uint64   `json:"position" doc:"Head of the event log"`
	Reasons  []string `json:"reasons,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// LogPiece is the data of a log event of a job's stream. Exactly one of T and B
// is set. Clients join the bytes of pieces before they decode characters.
type LogPiece struct {
	T      string `json:"t,omitempty" doc:"The bytes, if they are valid UTF-8"`
	B      []byte `json:"b,omitempty" doc:"The bytes in base64 otherwise"`
	Stderr bool   `json:"e,omitempty" doc:"They were written to standard error, apart from the output"`
	Time   int64  `json:"at,omitempty" doc:"When the worker read them, ns since 1970"`

	// Its place, which a client finds in the event's id.
	Attempt uint32 `json:"-"`
	Offset  uint64 `json:"-"` // of its first byte in the attempt's log
}

// LogOffsetBits is how many of a log event's id are the offset after its last byte;
// those above are the attempt.
const LogOffsetBits = 40

// Bytes returns the piece's bytes.
func (p *LogPiece) Bytes() []byte {
	if p.B != nil {
		return p.B
	}
	return []byte(p.T)
}

// LogSteps are the steps of an attempt with what of its log each of them wrote.
type LogSteps struct {
	Attempt uint32    `json:"attempt" doc:"The attempt, from 1; 0 before the first"`
	Size    uint64    `json:"size" doc:"Bytes of the attempt's log so far"`
	Whole   bool      `json:"whole" doc:"No more bytes come"`
	Steps   []LogStep `json:"steps" doc:"In order, as far as they are known"`
}

// LogStep is a step and its part of the log.
type LogStep struct {
	Step     uint32     `json:"step" doc:"From 1"`
	Name     string     `json:"name,omitempty"`
	State    string     `json:"state" enum:"running,succeeded,failed,timed_out,cancelled,skipped,lost"`
	ExitCode *int32     `json:"exit_code,omitempty"`
	Signal   string     `json:"signal,omitempty"`
	Started  *time.Time `json:"started_at,omitempty"`
	Seconds  float64    `json:"seconds,omitempty" doc:"How long it took"`
	From     *uint64    `json:"from,omitempty" doc:"Offset of its first byte in the log; absent for one that did not run"`
	To       *uint64    `json:"to,omitempty" doc:"Offset after its last byte; absent while more may come"`
}

// LogSearch is a page of what a search found in an attempt's log.
type LogSearch struct {
	Attempt  uint32    `json:"attempt" doc:"The attempt that was searched"`
	Lines    []LogLine `json:"lines" doc:"Lines that match, and those around them if asked for"`
	Count    uint64    `json:"count" doc:"Lines that match from where this page begins, shown or not; exact if complete"`
	Complete bool      `json:"complete" doc:"All was searched; else the time was up before"`
	Searched uint64    `json:"searched_bytes"`
	Next     string    `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
}

// LogLine is a line of a log.
type LogLine struct {
	Line   uint64    `json:"line" doc:"Its number, from 1"`
	Offset uint64    `json:"offset" doc:"Of its first byte in the attempt's log"`
	End    uint64    `json:"end" doc:"Offset after its last byte"`
	Time   time.Time `json:"time" doc:"When the worker read its first byte"`
	Text   string    `json:"text" doc:"The line without its end; what is no UTF-8 in it is U+FFFD"`
	Cut    bool      `json:"cut,omitempty" doc:"text is only its beginning"`
	Match  bool      `json:"match" doc:"It matches; else it is shown for one that does"`
}

// LogHead is the data of the event that ends a stream which does not follow.
type LogHead struct {
	Attempt uint32 `json:"attempt"`
	Offset  uint64 `json:"offset" doc:"Up to which all was sent"`
	Whole   bool   `json:"whole" doc:"No more bytes come"`
}

// Settings shape the cluster. Durations are written as in job files: 30s, 1h30m.
type Settings struct {
	Version            uint64 `json:"version" doc:"How often they were changed"`
	AgingStep          string `json:"aging_step" doc:"How much longer another job must have waited to go before one with a priority that is higher by 1; of jobs submitted from then on. 0s: priority counts nothing" example:"1m"`
	KeptFinished       uint32 `json:"kept_finished" doc:"How many ended jobs stay in memory, for lists; older ones are still read by id" example:"10000"`
	OrphanAfter        string `json:"orphan_after" doc:"How long an agent goes on with its jobs without any server" example:"1h"`
	Policy             string `json:"policy" enum:"binpack,leastloaded" doc:"Which worker of those that fit gets a job: the fullest, or the one with the most room"`
	ReconnectTolerance string `json:"reconnect_tolerance" doc:"How long a worker may be silent until it is lost" example:"30s"`
	SecretRetention    string `json:"secret_retention" doc:"How long a job's own secrets can be read after its end" example:"7d"`
}

// SettingsChange changes some settings; what is left out stays.
type SettingsChange struct {
	AgingStep          string `json:"aging_step,omitempty" doc:"0s to 1d" example:"1m"`
	KeptFinished       uint32 `json:"kept_finished,omitempty" maximum:"1000000" doc:"Jobs" example:"10000"`
	OrphanAfter        string `json:"orphan_after,omitempty" doc:"reconnect_tolerance to 7d" example:"1h"`
	Policy             string `json:"policy,omitempty" enum:"binpack,leastloaded"`
	ReconnectTolerance string `json:"reconnect_tolerance,omitempty" doc:"10s to 1h, at most orphan_after" example:"30s"`
	SecretRetention    string `json:"secret_retention,omitempty" doc:"0s to 365d" example:"7d"`
}
