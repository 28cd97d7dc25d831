package api

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/settings"
	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

// A change names what it changes, holds when it is answered, and is an event that
// says who made it.
func TestSettings(t *testing.T) {
	s := newSite(t)
	admin, i := s.create(token.Create{Name: "ana", Namespace: token.AllNamespaces, Role: token.Admin})
	want := wire.Settings{AgingStep: "1m", KeptFinished: 10_000, OrphanAfter: "1h", Policy: "binpack", ReconnectTolerance: "30s", SecretRetention: "7d"}
	resp := s.get("/v1/settings", admin)
	text, err := readAll(resp)
	if got := decode[wire.Settings](t, []byte(text)); err != nil || got != want || resp.Header.Get("ETag") != `"0"` {
		t.Errorf("they are %+v, tag %s, want %+v", got, resp.Header.Get("ETag"), want)
	}
	for _, change := range []struct {
		body string
		set  func()
	}{
		{`{"policy":"leastloaded","reconnect_tolerance":"1m30s"}`, func() { want.Policy, want.ReconnectTolerance = "leastloaded", "1m30s" }},
		{`{"kept_finished":0,"aging_step":"0s"}`, func() { want.KeptFinished, want.AgingStep = 0, "0s" }},
		{`{"orphan_after":"7d","secret_retention":"0"}`, func() { want.OrphanAfter, want.SecretRetention = "7d", "0s" }},
	} {
		change.set()
		want.Version++
		for range 2 { // the second time there is nothing to do
			status, _, body := s.request("PATCH", "/v1/settings", admin, change.body, "If-Match", "*")
			if got := decode[wire.Settings](t, body); status != 200 || got != want {
				t.Errorf("%s: %d, %s, want %+v", change.body, status, body, want)
			}
		}
	}
	page, err := s.client(admin).Events(t.Context(), client.EventsQuery{Stream: settingsStream})
	if err != nil || len(page.Items) != 3 {
		t.Fatalf("%d changes were recorded, %v", len(page.Items), err)
	}
	if e := page.Items[0]; e.Actor != i.String() || e.Text != "changed policy leastloaded, reconnect_tolerance 1m30s" {
		t.Errorf("%s by %s", e.Text, e.Actor)
	}
}

const settingsStream = "settings"

// Of two admins who have read the same settings the second is told that they are
// not those any more; who has made the same change is not.
func TestSettingsAreNotOverwrittenUnseen(t *testing.T) {
	s := newSite(t)
	admin := s.token(token.AllNamespaces, token.Admin)
	for _, row := range []struct {
		body, match string
		want        int
		tag         string
	}{
		{`{"policy":"leastloaded"}`, `"0"`, 200, `"1"`},
		{`{"kept_finished":5}`, `"0"`, 412, ``},
		{`{"policy":"leastloaded"}`, `"0"`, 200, `"1"`},
		{`{"kept_finished":5}`, `1`, 200, `"2"`},
		{`{"kept_finished":6}`, ``, 200, `"3"`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "PATCH", s.url+"/v1/settings", strings.NewReader(row.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+admin)
		req.Header.Set("If-Match", row.match)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := readAll(resp)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != row.want || resp.Header.Get("ETag") != row.tag {
			t.Errorf("%s of %s: %d, tag %s, want %d and %s: %s", row.body, row.match, resp.StatusCode, resp.Header.Get("ETag"), row.want, row.tag, text)
		}
		if p := decode[wire.Problem](t, []byte(text)); row.want == 412 && (p.Kind != "conflict" || p.Help == "" || p.Errors[0].Location != "header.If-Match" || !strings.Contains(p.Detail, "version 1")) {
			t.Errorf("it says %s", text)
		}
	}
}

// All that is wrong with a change is told at once.
func TestAllThatIsWrongWithSettingsIsTold(t *testing.T) {
	s := newSite(t)
	_, _, body := s.request("PATCH", "/v1/settings", s.token(token.AllNamespaces, token.Admin), `{"polcy":"x","aging_step":7,"orphan_after":"soon"}`)
	var places []string
	for _, e := range decode[wire.Problem](t, body).Errors {
		places = append(places, e.Location)
	}
	if !slices.Equal(places, []string{"body.polcy", "body.aging_step", "body.orphan_after"}) {
		t.Errorf("it names %v: %s", places, body)
	}
}

// The names of settings are the same everywhere.
func TestSettingsHaveOneName(t *testing.T) {
	for _, form := range []reflect.Type{typeOf[wire.Settings](), typeOf[wire.SettingsChange]()} {
		var names []string
		for i := range form.NumField() {
			if name, _, _ := strings.Cut(form.Field(i).Tag.Get("json"), ","); name != "version" {
				names = append(names, name)
			}
		}
		if !slices.Equal(names, settings.Names) {
			t.Errorf("%s has %v, want %v", form, names, settings.Names)
		}
	}
}
