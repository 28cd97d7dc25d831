package main

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hodei-jobs/hodei/aggregates/settings"
)

// met is a limit that users may meet. A value in braces is that of a constant,
// {folder.Name}, so that no number is written twice.
type met struct{ what, value, change, seen string }

// How a limit is changed, where many have the same answer.
const (
	fixed   = "fixed"
	refused = "refused, exit code 2"
)

// set says how a setting of the cluster is changed, by its name.
func set(name string) string { return "`hodei settings set " + name + "=…`" }

// metLimits are the limits that users may meet, by what they do.
var metLimits = []struct {
	title, intro string
	rows         []met
}{
	{"When you submit a job", "Over HTTP what is too much is refused with 422. The answer names the field and both numbers, and nothing is submitted.", []met{
		{"Length of a job file", "{cmd/hodei.maxFile} bytes", fixed, "`cannot read the job from FILE: it is longer than …`, exit code 2"},
		{"Size of a job's spec", "{aggregates/spec.MaxSpecBytes} bytes", fixed, refused},
		{"Steps of a job", "{aggregates/spec.MaxSteps}", fixed, refused},
		{"Arguments of a command, each of them or a script", "{aggregates/spec.MaxArgv}; {aggregates/spec.MaxArg} bytes, as Linux takes no longer ones", fixed, refused},
		{"Variables of a job or step", "{aggregates/spec.MaxEnv}", fixed, refused},
		{"Labels of a job or worker; a key, a value", "{aggregates/resource.MaxLabels}; {aggregates/resource.MaxLabelKey} and {aggregates/resource.MaxLabelValue} bytes", fixed, refused},
		{"Length of a name", "{aggregates/spec.MaxName} bytes", fixed, refused},
		{"CPU that a job needs", "0.1 CPU unless it says; as much memory and disk as there is", "`--cpu` `--memory` `--disk`", "a job that no worker is large enough for waits: `too_large`"},
		{"Priority", "-{aggregates/spec.MaxPriority} to {aggregates/spec.MaxPriority}; 0 unless it says", "`--priority`", refused},
		{"How long an attempt may run", "no limit unless it says; at most {aggregates/spec.MaxTimeout}", "`--timeout`", "the job is `timed_out`: it gets its stop signal, then KILL; `hodei run` exits with 124"},
		{"Time from the stop signal to KILL", "{aggregates/spec.DefaultGrace} unless it says; at most {aggregates/spec.MaxGrace}", "`--grace`", "what has not ended by then is killed"},
		{"How often a job is tried again; the delay before", "never unless it says; at most {aggregates/spec.MaxRetries} times and {aggregates/spec.MaxBackoff}", "`--retries` `--backoff`", "the job fails as its last attempt did"},
		{"Jobs of one batch (`POST /v1/jobs:batch`)", "{api.maxBatch}", fixed, "refused with 422"},
		{"How long an idempotency key is remembered", "{aggregates/idempotency.Kept}; the key has up to {aggregates/idempotency.MaxKey} bytes", fixed, "after that the same key submits another job"},
	}},
	{"Secrets", "", []met{
		{"Secrets of a job; a value", "{aggregates/spec.MaxSecrets}; {aggregates/spec.MaxSecretValue} bytes", fixed, refused},
		{"The shortest value that is masked in output", "{agentproto/agent/mask.MinSecret} bytes", fixed, "the job's output begins with `hodei: the secret NAME is not masked`: it would be found in everything"},
		{"Versions of a stored secret", "the newest {aggregates/secret.MaxVersions}", fixed, "a job that asks for an older one fails as `secret_unavailable`"},
		{"How long a job's own secrets can be read after its end", "SECRET_RETENTION", set("secret_retention"), "`hodei job events` shows that the key was dropped"},
	}},
	{"Output of jobs", "", []met{
		{"Output of one job", "{aggregates/spec.DefaultLogLimit} bytes unless it says; {aggregates/spec.MinLogLimit} bytes to {aggregates/spec.MaxLogLimit} bytes", "`--log-limit`", "a line in the log says so; the rest is dropped, and the job goes on"},
		{"How long output, and what jobs used over time, is kept, and how much", "for ever, all of it", "`--log-keep` `--log-keep-bytes` of `hodei dev` and `hodei server`", "the oldest goes first; `hodei logs` and `hodei job usage` then say that it is not kept any more (410, exit code 3)"},
		{"Stored output from which on the server warns", "{projections/joblog/archive.defaultWarnBytes} bytes", "set `--log-keep-bytes`", "a warning in `/readyz` and in the server's log"},
		{"Output that waits to be safe on the server's disk", "{projections/joblog.DefaultWindow} bytes an attempt, then what the agent holds", fixed, "the job's writes wait; not a byte is dropped"},
		{"Samples of what a job uses", "one every {agentproto/agent/sample.sampleEvery}; of an attempt that is over within a second none", "fixed", "`hodei job usage` says that nothing was measured; the peaks are in `hodei job get`"},
		{"Samples that wait for a server that is away", "{agentproto/agent/sample.maxHeld} bytes an attempt: a quarter of an hour of seconds, then one a minute for six hours", "fixed", "longer points in `hodei job usage`; none of what was used is missing in their sums"},
		{"Points of one answer about use", "500 unless it says; at most {projections/usage.MaxPoints}", "`--step`, or `points` of the request", "a step that gives more is refused, exit code 2"},
		{"Time of one search; searches at once", "{api.searchTime}; {api.maxSearches}", fixed, "the page that was found so far; one search too many is refused with 429"},
		{"Lines around a match (`-C`)", "{projections/logtext.MaxContext}", fixed, refused},
	}},
	{"Asking the server", "", []met{
		{"How long a draining worker waits for its jobs", "for ever unless it says; at most {api.maxDrain}", "`--deadline` of `hodei worker drain`", "jobs that still run then are stopped, as cancelled ones are"},
		{"Jobs that one request for a list looks at; those whose names or labels it reads", "{api.maxLooked}; {api.maxRead}", fixed, "a page with fewer jobs than asked for, and how to go on; `hodei job list` goes on by itself"},
		{"Labels that a list asks for (`--label`)", "{api.maxLabelsAsked}", fixed, refused},
		{"Items of a page (`--limit`)", "up to 1,000", "`--limit`", "the list says how to go on: `--cursor`"},
		{"Body and header of a request; the time to send them", "{api.maxBody} bytes and {api.MaxHeaderBytes} bytes; {api.bodyTimeout} and {api.HeaderTimeout}", fixed, "413, 431, or the connection is closed"},
		{"How long a server that stops waits for requests under way", "{cmd/hodei.stopHTTP}", fixed, "who is still sending or reading then is cut off; sent again with the same idempotency key, a job is submitted once"},
		{"Streams that follow something, all and of one token", "{api.MaxStreams}; {api.MaxTokenStreams}", "`--max-streams` `--max-token-streams` of `hodei dev` and `hodei server`", "429; `hodei` tries again"},
		{"How long an API token is good for", "{api.TokenLife} unless it says; up to {aggregates/token.MaxLifetime}, or without end", "`hodei token create --ttl`", "401, exit code 4; `hodei token list --ended` shows it"},
		{"How long a session lasts, of a browser or by `hodei login`", "{api.SessionLife}", fixed, "sign in again: 401, exit code 4"},
		{"How long signing in at the provider may take", "{api/people.PendingLife}", fixed, "403, begin again"},
		{"How exactly it is known after a crash when a token was last used", "{cmd/hodei.usesEvery}", fixed, "`hodei token list` shows an earlier time"},
		{"Ended jobs in memory", "the newest KEPT_FINISHED", set("kept_finished"), "older ones are missing in `hodei job list`, and still shown by their id"},
		{"How far lists may be behind the log", "{projections.MaxLag} events", fixed, "commands wait up to {projections.MaxAdmission}, then get 429 with Retry-After"},
		{"How long a reader may not read", "{api/sse.WriteLimit}", fixed, "the stream is closed; a client goes on where it was"},
	}},
	{"Workers", "", []met{
		{"How long a worker token can be used", "24 h, up to {cmd/hodei.maxTokenHours} h", "`hodei worker token --hours`", "the agent is refused for good and exits with 3"},
		{"How long a worker that a server starts may take to connect", "{cmd/hodei.launchLimit}", fixed, "it is ended (`could not be launched: timeout`), and another is started"},
		{"How long a worker may be silent until it is lost", "RECONNECT_TOLERANCE", set("reconnect_tolerance"), "its jobs are `lost`, and run again only if they say so (`--retries`)"},
		{"How long an agent keeps jobs without a server", "ORPHAN_AFTER", set("orphan_after"), "it cancels them; a server that comes back sooner takes them back"},
		{"How long a session of an agent lasts", "{agentproto/gateway.defaultRenew}, less a random part up to half of it", fixed, "nothing: the next is opened before it ends; one that a proxy cuts sooner is resumed"},
		{"How long the server's certificate for agents is valid, if it makes it itself", "{agentproto/gateway/authority.leafLifetime}, replaced when {agentproto/gateway/authority.leafRenewal} are left", "`--tls-cert` `--tls-key` of `hodei dev` and `hodei server` for another", "nothing: agents get the new one with their next session"},
		{"Agents that are let in", "{agentproto/gateway.defaultAdmitRate} a second after {agentproto/gateway.defaultAdmitBurst} at once; of known workers so many that all can be back within half the tolerance, up to {agentproto/gateway.maxAdmitRate} a second", fixed,
			"the others are told when to come back, at most {agentproto/gateway.longestWait} later, known workers at most half the tolerance; who is told so is not silent"},
	}},
	{"The server's disk", "", []met{
		{"Room held in reserve on a full disk", "{eventstore/embedded.DefaultReserveBytes} bytes", fixed, "submissions get 503, `the disk … is full`; how jobs end is still recorded"},
		{"What workers and jobs used, as it was measured", "{projections/telemetry.DefaultRetention}, up to {projections/telemetry.DefaultMaxBytes} bytes", fixed, "the oldest goes first"},
	}},
}

var braced = regexp.MustCompile(`\{([a-z0-9/]+)\.(\w+)\}`)

// converted is a number made a value of a type, as in resource.Bytes(4 Ki).
var converted = regexp.MustCompile(`^[\w.]+\((.*)\)$`)

// limitsMet makes the tables of limits that users may meet.
func limitsMet(values map[string]string) (string, error) {
	d := settings.Default()
	settled := strings.NewReplacer("KEPT_FINISHED", thousands(fmt.Sprint(d.KeptFinished)), "RECONNECT_TOLERANCE", lasting(d.ReconnectTolerance),
		"ORPHAN_AFTER", lasting(d.OrphanAfter), "SECRET_RETENTION", lasting(d.SecretRetention))
	var unknown error
	filled := func(text string) string {
		return settled.Replace(braced.ReplaceAllStringFunc(text, func(s string) string {
			m := braced.FindStringSubmatch(s)
			value, ok := values[m[1]+"."+m[2]]
			if !ok {
				unknown = fmt.Errorf("there is no limit %s in %s", m[2], m[1])
			}
			return converted.ReplaceAllString(value, "$1")
		}))
	}
	var b strings.Builder
	for _, group := range metLimits {
		b.WriteString("## " + group.title + "\n\n")
		if group.intro != "" {
			b.WriteString(group.intro + "\n\n")
		}
		b.WriteString("| what is limited | to | change it by | what you see when it is reached |\n|---|---|---|---|\n")
		for _, r := range group.rows {
			b.WriteString("| " + strings.Join([]string{cell(r.what), cell(filled(r.value)), cell(filled(r.change)), cell(filled(r.seen))}, " | ") + " |\n")
		}
		b.WriteString("\n")
	}
	return sized.ReplaceAllString(b.String(), "${1}B$2"), unknown
}

// sized is a size of so many Ki, Mi or Gi bytes.
var sized = regexp.MustCompile(`(\d [KMG]i)( - 1)? bytes`)

// lasting writes a duration as the page does: 30 s, 1 h, 7 days.
func lasting(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day && d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// thousands writes a whole number with commas.
func thousands(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
