package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/api/wire"
)

// fakeSettings are those of the made-up cluster, and one of a newer version.
func fakeSettings() map[string]any {
	return map[string]any{
		"version": 3, "aging_step": "1m", "kept_finished": 10000, "orphan_after": "1h", "policy": "binpack", "reconnect_tolerance": "30s", "secret_retention": "7d", "warp\x1b[2J": "9",
	}
}

// serveSettings answers as the API does.
func serveSettings(mux *http.ServeMux) {
	now, version := fakeSettings(), 3
	mux.HandleFunc("GET /v1/settings", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, now) })
	mux.HandleFunc("PATCH /v1/settings", func(w http.ResponseWriter, r *http.Request) {
		var change map[string]any
		d := json.NewDecoder(r.Body)
		d.UseNumber()
		if err := d.Decode(&change); err != nil {
			panic(err)
		}
		if _, text := change["kept_finished"].(string); text {
			panic("a number is sent as text")
		}
		if policy, ok := change["policy"].(string); ok && !slices.Contains(settings.Policies, policy) {
			p := wire.NewProblem(422, "invalid", `cannot change the settings: policy: "`+policy+`" is not a policy: binpack, leastloaded may be`)
			p.Errors = []wire.Detail{{Location: "body.policy", Message: `"` + policy + `" is not a policy: binpack, leastloaded may be`}}
			answer(w, 422, p)
			return
		}
		if match := r.Header.Get("If-Match"); match != etag(uint64(version)) {
			p := wire.NewProblem(412, "conflict", fmt.Sprintf("cannot change the settings: they are at version %d, the change is of version %s", version, strings.Trim(match, `"`)))
			p.Help = "read them anew and decide again"
			answer(w, 412, p)
			return
		}
		version++
		for name, value := range change {
			now[name] = value
		}
		now["version"] = version
		answer(w, 200, now)
	})
}

// Each setting has its meaning and something to complete its value to.
func TestSettingsAreExplained(t *testing.T) {
	for _, name := range settings.Names {
		if settingsMeaning[name] == "" || len(settingValues(name)) == 0 {
			t.Errorf("%s means %q, it may be %v", name, settingsMeaning[name], settingValues(name))
		}
	}
	if len(settingsMeaning) != len(settings.Names) {
		t.Errorf("%d settings are explained, there are %d", len(settingsMeaning), len(settings.Names))
	}
}

// What a shell offers needs no server.
func TestCompletionOfSettings(t *testing.T) {
	isolate(t)
	t.Setenv("HODEI_API_URL", "http://127.0.0.1:1")
	for _, row := range []struct {
		words []string
		want  string
	}{
		{[]string{"settings", "set", "po"}, "policy=\t" + settingsMeaning["policy"] + "\n:6\n"},
		{[]string{"settings", "set", "policy="}, "policy=binpack\npolicy=leastloaded\n:4\n"},
		{[]string{"settings", "set", "policy=binpack", "p"}, ":6\n"},
		{[]string{"settings", "set", "kept_finished="}, "kept_finished=10000\n:4\n"},
		{[]string{"settings", "set", "reconnect_tolerance=3"}, "reconnect_tolerance=30s\n:4\n"},
		{[]string{"settings", "get", "r"}, "reconnect_tolerance\t" + settingsMeaning["reconnect_tolerance"] + "\n:4\n"},
		{[]string{"settings", "get", "policy", "p"}, ":4\n"},
	} {
		if got := completed(t, row.words...); got != row.want {
			t.Errorf("%q: %q, want %q", row.words, got, row.want)
		}
	}
}
