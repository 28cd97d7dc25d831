package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/hodei-jobs/hodei/api/wire"
)

func moment(t time.Time) *time.Time { return &t }

// fakeTokens are those of the made-up cluster.
func fakeTokens(namespace string, all bool) *wire.Tokens {
	page := &wire.Tokens{Items: []wire.Token{}}
	for _, k := range []wire.Token{
		{ID: "a1dm1n00", Name: "dev", Hint: "x4Q7", Role: "admin", Namespace: "*", State: "active", Created: ago(76 * time.Hour), Used: moment(ago(2 * time.Second))},
		{ID: "br0wser0", Name: "browser, for dev", Hint: "9kLm", Role: "admin", Namespace: "*", State: "expired", Created: ago(30 * time.Hour), Expires: moment(ago(18 * time.Hour)), Used: moment(ago(29 * time.Hour))},
		{ID: "c1000000", Name: "ci", Hint: "aB3d", Role: "submitter", Namespace: "web", State: "active", Created: ago(26 * time.Hour), Expires: moment(ago(-64 * 24 * time.Hour))},
	} {
		if (namespace == "" || namespace == k.Namespace) && (all || k.State == "active") {
			page.Items = append(page.Items, k)
		}
	}
	return page
}

func fakeNamespaces() []wire.Namespace {
	return []wire.Namespace{
		{Name: "default", Description: "where jobs go that name no other", Created: moment(ago(76 * time.Hour)), Waiting: 3, Running: 2},
		{Name: "sandbox", Created: moment(ago(26 * time.Hour)), Paused: true, Reason: "the database is being moved", Waiting: 12},
		{Name: "web", Created: moment(ago(25 * time.Hour)), Running: 7},
	}
}

// accessRoutes are those of tokens and namespaces.
func (f *fake) accessRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/tokens", func(w http.ResponseWriter, r *http.Request) {
		answer(w, 200, fakeTokens(r.URL.Query().Get("namespace"), r.URL.Query().Get("all") == "true"))
	})
	mux.HandleFunc("POST /v1/tokens", func(w http.ResponseWriter, r *http.Request) {
		var form struct{ Name, Role, Namespace, Lifetime string }
		if err := json.NewDecoder(r.Body).Decode(&form); err != nil {
			answer(w, 422, wire.NewProblem(422, "invalid", err.Error()))
			return
		}
		made := wire.MadeToken{Token: wire.Token{ID: "n3wt0ken", Name: form.Name, Hint: "Zz99", Role: form.Role, Namespace: first(form.Namespace, "*"), State: "active", Created: fakeNow},
			Plain: "hodei_made-up-Zz99"}
		if form.Lifetime != "never" {
			made.Expires = moment(fakeNow.Add(90 * 24 * time.Hour))
		}
		answer(w, 201, made)
	})
	mux.HandleFunc("DELETE /v1/tokens/{id}", func(w http.ResponseWriter, r *http.Request) {
		if id := r.PathValue("id"); id != "c1000000" {
			answer(w, 404, wire.NewProblem(404, "not_found", "there is no token "+id))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /v1/namespaces", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, wire.Namespaces{Items: fakeNamespaces()}) })
	mux.HandleFunc("POST /v1/namespaces", func(w http.ResponseWriter, r *http.Request) {
		var n wire.Namespace
		_ = json.NewDecoder(r.Body).Decode(&n)
		answer(w, 201, n)
	})
	one := func(then func(n *wire.Namespace)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, n := range fakeNamespaces() {
				if n.Name == r.PathValue("name") {
					then(&n)
					answer(w, 200, n)
					return
				}
			}
			answer(w, 404, wire.NewProblem(404, "not_found", "there is no namespace "+r.PathValue("name")))
		}
	}
	mux.HandleFunc("GET /v1/namespaces/{name}", one(func(*wire.Namespace) {}))
	mux.HandleFunc("POST /v1/namespaces/{name}/pause", one(func(n *wire.Namespace) { n.Paused = true }))
	mux.HandleFunc("POST /v1/namespaces/{name}/resume", one(func(n *wire.Namespace) { n.Paused, n.Reason = false, "" }))
}
