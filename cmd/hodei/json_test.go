package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// isolate gives a test a configuration folder of its own, and the made-up cluster.
func isolate(t *testing.T) *fake {
	t.Helper()
	f := newFake(t)
	for name, value := range map[string]string{"HODEI_CONFIG_DIR": filepath.Join(t.TempDir(), "hodei"), "HODEI_API_URL": f.URL,
		"HODEI_API_TOKEN": fakeToken, "HODEI_TOKEN_FILE": "", "HODEI_NAMESPACE": ""} {
		t.Setenv(name, value)
	}
	return f
}

// With -o json the API's body is the answer, byte for byte.
func TestJSONIsTheBodyOfTheAPI(t *testing.T) {
	f := isolate(t)
	for _, row := range []struct{ command, path string }{
		{"job list", "/v1/jobs"},
		{"job get e1v9z3kc", "/v1/jobs/e1v9z3kc"},
		{"job events 6wv0p3nc", "/v1/jobs/6wv0p3nc/events"},
		{"job wait 6wv0p3nc", "/v1/jobs/6wv0p3nc"},
		{"worker list", "/v1/workers"},
		{"worker get atlas", "/v1/workers/atlas"},
		{"queue", "/v1/queue"},
		{"secret list", "/v1/secrets"},
		{"events", "/v1/events?order=desc"},
	} {
		var out strings.Builder
		a := &app{stdout: &out, stderr: io.Discard}
		if code := a.run(t.Context(), append(strings.Fields(row.command), "-o", "json")); code > exitNo {
			t.Errorf("%s: code %d", row.command, code)
		}
		if want := body(t, f, row.path); out.String() != want+"\n" {
			t.Errorf("%s: got\n%s\nwant\n%s", row.command, out.String(), want)
		}
	}
}

func body(t *testing.T, f *fake, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+fakeToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What stands in an error of the server reaches a program that reads it; errors
// of this program have the same form.
func TestErrorsInJSON(t *testing.T) {
	isolate(t)
	for _, row := range []struct {
		command, detail string
		status          any
	}{
		{"job get zzzzzzzz", "there is no job zzzzzzzz", 404.0},
		{"job cancel 6wv0p3nc", "cannot cancel job 6wv0p3nc: it has failed already", 409.0},
		{"run --cpu many -- make", `--cpu: "many" is not a number of CPUs; such as 2 or 500m`, nil},
		{"job get build-web", "2 live jobs are called build-web", nil},
	} {
		var out, errs strings.Builder
		a := &app{stdout: &out, stderr: &errs}
		a.run(t.Context(), append([]string{"-o", "json"}, strings.Fields(row.command)...))
		var p map[string]any
		if err := json.Unmarshal([]byte(errs.String()), &p); err != nil || p["detail"] != row.detail || p["status"] != row.status || out.Len() > 0 {
			t.Errorf("%s: said %q on standard error and %q on standard output (%v)", row.command, errs.String(), out.String(), err)
		}
	}
}
