package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/aggregates/token"
	"github.com/hodei-jobs/hodei/api/wire"
)

// canary is a secret that must be in no answer.
const canary = "tr0ub4dor&3-canary"

// secret stores a secret.
func (s *site) secret(namespace, name, value string) {
	s.t.Helper()
	if _, _, err := s.commands.SetSecret(s.t.Context(), tester, namespace, name, []byte(value)); err != nil {
		s.t.Fatal(err)
	}
}

// Values go in and never out: whatever is asked afterwards, no answer has one.
func TestNoAnswerHasASecret(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	s.secret("default", "db", canary)
	j := s.submit(s.client(plain), `{"command":"true","secrets":{"TOKEN":"`+canary+`","DB":{"from":"db"},"OLD":{"from":"db","version":1}}}`)
	const want = `{"DB":{"from":"db"},"OLD":{"from":"db","version":1},"TOKEN":{"sealed":true}}`
	for _, path := range []string{
		"/v1/jobs/" + j.ID, "/v1/jobs", "/v1/jobs/" + j.ID + "/events", "/v1/events", "/v1/queue", "/v1/secrets", "/openapi.json", "/docs", "/readyz",
	} {
		status, _, body := s.request("GET", path, plain, "")
		text := string(body)
		if status != 200 || strings.Contains(text, "tr0ub4dor") || strings.Contains(text, "dHIwdWI0ZG9y") {
			t.Errorf("%s answers %d: %s", path, status, text)
		}
		if strings.Contains(text, `"sealed":"`) || strings.Contains(text, `"key":"job/`) {
			t.Errorf("%s shows what is sealed: %s", path, text)
		}
		if showsSpec := path == "/v1/jobs/"+j.ID || strings.HasSuffix(path, "/events"); showsSpec && !strings.Contains(text, want) {
			t.Errorf("%s does not show the spec with %s: %s", path, want, text)
		}
	}
	status, _, body := s.request("PUT", "/v1/secrets/db", plain, `{"value":"`+canary+`"}`)
	if v := decode[wire.Secret](t, body); status != 200 || strings.Contains(string(body), canary) || v.Version != 2 || v.Name != "db" || v.Namespace != "default" || v.SetBy == "" || v.SetAt.IsZero() {
		t.Errorf("setting it is answered with %d %s", status, body)
	}
}

// The same submission with its secret and a key gives the same job.
func TestASubmissionWithSecretsMayComeAgain(t *testing.T) {
	s := newSite(t)
	plain := s.token(token.AllNamespaces, token.Admin)
	body := `{"command":"true","secrets":{"TOKEN":"` + canary + `"}}`
	send := func(body string) (int, wire.Job) {
		status, _, answer := s.request("POST", "/v1/jobs", plain, body, "Idempotency-Key", "k")
		if strings.Contains(string(answer), canary) {
			t.Errorf("it is answered %s", answer)
		}
		var j wire.Job
		_ = json.Unmarshal(answer, &j)
		return status, j
	}
	_, first := send(body)
	if status, again := send(body); status != http.StatusCreated || again.ID != first.ID || first.ID == "" {
		t.Errorf("again: %d %s, want %s", status, again.ID, first.ID)
	}
	if status, _ := send(strings.Replace(body, canary, "another", 1)); status != http.StatusConflict {
		t.Errorf("with another secret: %d", status)
	}
}

// Who may do what with the secrets of which namespace.
func TestSecretsAreOfTheirNamespace(t *testing.T) {
	s := newSite(t)
	s.secret("default", "db", "x")
	tokens := map[string]string{}
	for _, namespace := range []string{"*", "web"} {
		for _, role := range token.Roles {
			tokens[role.String()+" of "+namespace] = s.token(namespace, role)
		}
	}
	put := `{"base64":"/wE="}`
	for _, row := range []struct {
		who, method, path, body string
		want                    int
	}{
		{"submitter of web", "PUT", "/v1/secrets/db", put, 403},
		{"operator of web", "PUT", "/v1/secrets/db?namespace=default", put, 403},
		{"operator of web", "PUT", "/v1/secrets/db", put, 200}, // into web
		{"admin of *", "PUT", "/v1/secrets/db", put, 200},      // into default
		{"viewer of web", "GET", "/v1/secrets", "", 403},
		{"submitter of web", "GET", "/v1/secrets?namespace=default", "", 403},
		{"submitter of web", "GET", "/v1/secrets", "", 200},
		{"submitter of web", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":{"from":"db"}}}`, 201},
		{"submitter of web", "POST", "/v1/jobs", `{"command":"true","namespace":"default","secrets":{"A":{"from":"db"}}}`, 403},
		{"submitter of web", "DELETE", "/v1/secrets/db", "", 403},
		{"operator of web", "DELETE", "/v1/secrets/db?namespace=default", "", 403},
		{"operator of web", "DELETE", "/v1/secrets/db", "", 204},
		{"operator of web", "DELETE", "/v1/secrets/db", "", 204}, // again is the same as once
		{"submitter of web", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":{"from":"db"}}}`, 404},
		{"submitter of *", "POST", "/v1/jobs", `{"command":"true","secrets":{"A":{"from":"db","version":2}}}`, 201},
	} {
		if status, _, body := s.request(row.method, row.path, tokens[row.who], row.body); status != row.want {
			t.Errorf("a %s: %s %s: %d, want %d: %s", row.who, row.method, row.path, status, row.want, body)
		}
	}
}

func TestSecretsAreListedInPages(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"c", "a", "b"} {
		s.secret("web", name, "x")
		s.secret("default", name, "x")
	}
	list := func(plain, query string) (names string) {
		for cursor := ""; ; {
			_, _, body := s.request("GET", "/v1/secrets?limit=2"+query+cursor, plain, "")
			page := decode[wire.Secrets](t, body)
			for _, row := range page.Items {
				names += " " + row.Namespace + "/" + row.Name
			}
			if page.Next == "" {
				return names
			}
			cursor = "&cursor=" + page.Next
		}
	}
	all, web := s.token("*", token.Submitter), s.token("web", token.Submitter)
	for _, row := range []struct{ plain, query, want string }{
		{all, "", " default/a default/b default/c web/a web/b web/c"}, {all, "&namespace=web", " web/a web/b web/c"}, {web, "", " web/a web/b web/c"}, {all, "&namespace=none", ""},
	} {
		if got := list(row.plain, row.query); got != row.want {
			t.Errorf("%s: %q, want %q", row.query, got, row.want)
		}
	}
}
