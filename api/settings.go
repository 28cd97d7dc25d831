package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// Settings shape the whole cluster: who may look at anything may read them, and an
// admin of all namespaces may change them.

type settingsOutput struct {
	ETag string `header:"ETag" doc:"The settings' version, for If-Match"`
	Body wire.Settings
}

type changeSettingsInput struct {
	IfMatch string `header:"If-Match" maxLength:"128" doc:"Change them only if they still have this ETag, so that nobody's change is overwritten unseen; * is any"`
	RawBody []byte
}

var settingsExample = map[string]any{"policy": "leastloaded", "reconnect_tolerance": "45s"}

func (s *server) settings(api huma.API) {
	register(s, api, needs(token.Viewer, huma.Operation{
		OperationID: "getSettings", Method: http.MethodGet, Path: "/v1/settings", Tags: []string{"settings"},
		Summary:     "Read what shapes the cluster",
		Description: "Who changed them, and when, stands in the events of the stream settings.",
	}), func(context.Context, *struct{}) (*settingsOutput, error) { return s.settingsNow(), nil })
	registerRaw(s, api, needs(token.Admin, huma.Operation{
		OperationID: "changeSettings", Method: http.MethodPatch, Path: "/v1/settings", Tags: []string{"settings"},
		Summary:     "Change what shapes the cluster",
		Description: "What is left out stays as it is. The change is an event and holds from the next decision on, everywhere. It takes an admin of all namespaces.",
		Errors:      append([]int{http.StatusPreconditionFailed}, bodyErrors...),
	}), typeOf[wire.SettingsChange](), settingsExample, s.changeSettings)
}

func (s *server) settingsNow() *settingsOutput {
	now := s.Runner.World().Settings
	return &settingsOutput{ETag: `"` + strconv.FormatUint(now.Version, 10) + `"`, Body: wire.Settings{
		Version: now.Version, AgingStep: lasting(now.AgingStep), KeptFinished: now.KeptFinished, OrphanAfter: lasting(now.OrphanAfter),
		Policy: now.Policy, ReconnectTolerance: lasting(now.ReconnectTolerance), SecretRetention: lasting(now.SecretRetention),
	}}
}

func lasting(d time.Duration) string { return spec.Duration(d).String() }

func (s *server) changeSettings(ctx context.Context, in *changeSettingsInput) (*settingsOutput, error) {
	p := who(ctx)
	if p.namespace != token.AllNamespaces {
		return nil, forbidden("header.Authorization", "the token is for namespace "+p.namespace+", settings are of all")
	}
	change, err := parseSettings(in.RawBody)
	if err != nil {
		return nil, err
	}
	if change.Of, err = parseMatch(in.IfMatch); err != nil {
		return nil, err
	}
	if _, err := s.Commands.ChangeSettings(ctx, p.caller(), change); err != nil {
		return nil, ofSettings(err)
	}
	return s.settingsNow(), nil
}

// ofSettings says of a conflict that it is about If-Match.
func ofSettings(err error) error {
	if fault.KindOf(err) != fault.Conflict {
		return err
	}
	p := problem(err)
	p.Status, p.Title = http.StatusPreconditionFailed, http.StatusText(http.StatusPreconditionFailed)
	p.Errors = []wire.Detail{detail("header.If-Match", p.Detail, nil, "")}
	return p
}

// parseMatch returns the version that an ETag of the settings stands for, nil if any
// will do.
func parseMatch(header string) (*uint64, error) {
	tag := strings.TrimSpace(header)
	if tag == "" || tag == "*" {
		return nil, nil
	}
	version, err := strconv.ParseUint(strings.Trim(tag, `"`), 10, 64)
	if err != nil {
		return nil, invalid("header.If-Match", `it must be the ETag of an answer, such as "3"`, header)
	}
	return &version, nil
}

// parseSettings reads a change. Its fault names all that is wrong.
func parseSettings(body []byte) (settings.Change, error) {
	var c settings.Change
	var wrong []fault.Field
	seen := map[string]bool{}
	err := eachField(body, func(name string, value json.RawMessage) error {
		message := ""
		if seen[name] {
			message = "it is given twice"
		} else {
			message = take(&c, name, value)
		}
		seen[name] = true
		if message != "" {
			wrong = append(wrong, fault.Field{Location: cut(name), Message: message, Value: shownText(value)})
		}
		return nil
	})
	switch {
	case errors.Is(err, errNoObject):
		return c, invalid("body", `it is not a JSON object with settings: {"policy": "leastloaded"}`, nil)
	case err != nil:
		return c, err
	case len(seen) == 0:
		return c, invalid("body", "it names no setting", nil)
	}
	return c, fault.Malformed("change", "the settings", wrong...)
}

// take puts one setting into a change, or returns what is wrong with it.
func take(c *settings.Change, name string, value json.RawMessage) (wrong string) {
	durations := map[string]**time.Duration{
		"aging_step": &c.AgingStep, "orphan_after": &c.OrphanAfter, "reconnect_tolerance": &c.ReconnectTolerance, "secret_retention": &c.SecretRetention,
	}
	var text *string
	isText := json.Unmarshal(value, &text) == nil && text != nil
	switch to, lasts := durations[name]; {
	case lasts:
		if !isText {
			return "it is not a string; " + spec.DurationHelp
		}
		d, err := spec.ParseDuration(*text)
		if err != nil {
			return err.Error() + "; " + spec.DurationHelp
		}
		length := time.Duration(d)
		*to = &length
	case name == "kept_finished":
		n, err := strconv.ParseUint(string(value), 10, 32)
		if err != nil {
			return fmt.Sprintf("it is not a whole number of jobs from 0 to %d", settings.MaxKeptFinished)
		}
		kept := uint32(n)
		c.KeptFinished = &kept
	case name == "policy":
		if !isText {
			return "it is not a string: " + strings.Join(settings.Policies, ", ") + " may be"
		}
		c.Policy = text
	default:
		return "there is no such setting; there are " + strings.Join(settings.Names, ", ")
	}
	return ""
}

// shownText is a value that was a string, cut.
func shownText(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return ""
	}
	return cut(text)
}
