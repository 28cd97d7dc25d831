package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hodei-jobs/hodei/aggregates/resource"
	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/api/wire"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// document is the OpenAPI document of a version, as it is served.
func document(t *testing.T, version string) (*huma.OpenAPI, []byte) {
	t.Helper()
	_, o := New(Config{Version: version}, nil)
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	return o, append(b.Bytes(), '\n')
}

// openapi.json is the document as it is served, but for the server's version.
func TestTheOpenAPIFileIsFresh(t *testing.T) {
	_, want := document(t, "0")
	if *update {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("openapi.json")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("openapi.json is stale (%v): go test ./api -run OpenAPIFile -update", err)
	}
}

// Every operation says what it does, what it takes, and how it fails.
func TestEveryOperationIsDocumented(t *testing.T) {
	o, raw := document(t, "0")
	if !strings.HasPrefix(o.OpenAPI, "3.1") || o.Info.Title == "" || o.Info.Version == "" || o.Info.Description == "" {
		t.Errorf("%s, %+v", o.OpenAPI, o.Info)
	}
	ids := map[string]bool{}
	for path, item := range o.Paths {
		for method, op := range operations(item) {
			name := method + " " + path
			if op.Summary == "" || len(op.Tags) == 0 || op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s has no summary, tag or id of its own: %+v", name, op)
			}
			ids[op.OperationID] = true
			checkParameters(t, name, path, op)
			checkResponses(t, name, op)
			if method == "POST" && (op.RequestBody == nil || op.RequestBody.Content[jsonType] == nil || len(op.RequestBody.Content) != 1) {
				t.Errorf("%s takes no JSON", name)
			}
			if public := op.Metadata[openKey] != nil; public != (len(op.Security) == 0) {
				t.Errorf("%s: what it says of tokens is not what it asks for", name)
			}
		}
	}
	checkReferences(t, raw)
}

func checkParameters(t *testing.T, name, path string, op *huma.Operation) {
	t.Helper()
	var inPath []string
	for _, p := range op.Parameters {
		if p.Description == "" || p.Schema == nil {
			t.Errorf("%s: parameter %s has no description or schema", name, p.Name)
		}
		if p.In == "path" {
			inPath = append(inPath, "{"+p.Name+"}")
			if !p.Required {
				t.Errorf("%s: parameter %s of the path is not required", name, p.Name)
			}
		}
	}
	if want := regexp.MustCompile(`\{[a-z_]+\}`).FindAllString(path, -1); !slices.Equal(inPath, want) {
		t.Errorf("%s has the parameters %v", name, inPath)
	}
}

func checkResponses(t *testing.T, name string, op *huma.Operation) {
	t.Helper()
	if len(op.Responses) == 0 {
		t.Errorf("%s has no answer", name)
	}
	for status, r := range op.Responses {
		if r.Description == "" {
			t.Errorf("%s: %s has no description", name, status)
		}
		if n, _ := strconv.Atoi(status); n != 0 && n < 400 || name == "GET /readyz" && n == 503 {
			continue
		}
		content := r.Content[problemType]
		if content == nil || content.Schema.Ref != "#/components/schemas/Problem" || len(r.Content) != 1 {
			t.Errorf("%s: %s is not a problem: %+v", name, status, r.Content)
		}
	}
	for _, status := range []string{"401", "403"} {
		if op.Metadata[openKey] == nil && op.Responses[status] == nil {
			t.Errorf("%s does not say that it may answer %s", name, status)
		}
	}
}

// checkReferences fails if a reference of the document leads nowhere, or a type
// is none of JSON Schema's.
func checkReferences(t *testing.T, raw []byte) {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && !leads(whole, ref) {
				t.Errorf("%s refers to %s, which is not there", at, ref)
			}
			for key, below := range v {
				walk(at+"/"+key, below)
			}
		case []any:
			for i, below := range v {
				walk(at+"/"+strconv.Itoa(i), below)
			}
		}
	}
	walk("", whole)
	if whole["jsonSchemaDialect"] != nil {
		t.Error("it has a dialect of its own")
	}
}

func leads(whole map[string]any, ref string) bool {
	var at any = whole
	for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := at.(map[string]any)
		if at = m[step]; !ok || at == nil {
			return false
		}
	}
	return true
}

// The documented spec has exactly the fields that are read.
func TestTheDocumentedSpecIsTheOneThatIsRead(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{typeOf[Spec](), typeOf[spec.Spec]()}, {typeOf[SpecStep](), typeOf[spec.Step]()}, {typeOf[SpecResources](), typeOf[resource.Amount]()},
		{typeOf[SpecRetries](), typeOf[spec.Retries]()}, {typeOf[SpecCancel](), typeOf[spec.Cancel]()},
	} {
		if got, want := jsonFields(pair[0]), jsonFields(pair[1]); !slices.Equal(got, want) {
			t.Errorf("%s documents %v, read are %v", pair[0], got, want)
		}
	}
	o, _ := document(t, "0")
	schema := o.Components.Schemas.Map()["Spec"]
	for name, words := range map[string][]string{"SpecRetries.on": spec.Causes, "SpecCancel.signal": spec.Signals} {
		object, field, _ := strings.Cut(name, ".")
		property := o.Components.Schemas.Map()[object].Properties[field]
		if property.Items != nil {
			property = property.Items
		}
		var documented []string
		for _, w := range property.Enum {
			documented = append(documented, w.(string))
		}
		if !slices.Equal(documented, words) {
			t.Errorf("%s documents %v, read are %v", name, documented, words)
		}
	}
	priority, name := schema.Properties["priority"], schema.Properties["name"]
	if *priority.Maximum != spec.MaxPriority || *priority.Minimum != -spec.MaxPriority || *name.MaxLength != spec.MaxName {
		t.Errorf("limits: priority %v, name %v", *priority.Maximum, *name.MaxLength)
	}
}

func jsonFields(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// The document's examples are accepted.
func TestExamplesAreAccepted(t *testing.T) {
	o, _ := document(t, "0")
	example := func(path string) []byte {
		return mustJSON(t, o.Paths[path].Post.RequestBody.Content[jsonType].Example)
	}
	if _, err := spec.Parse(example("/v1/jobs")); err != nil {
		t.Error(err)
	}
	if _, err := parseSettings(mustJSON(t, o.Paths["/v1/settings"].Patch.RequestBody.Content[jsonType].Example)); err != nil {
		t.Error(err)
	}
	specs, err := parseBatch(example("/v1/jobs:batch"))
	if err != nil || len(specs) == 0 {
		t.Fatal(specs, err)
	}
	for _, s := range specs {
		if _, err := spec.Parse(s); err != nil {
			t.Error(err)
		}
	}
}

// What is documented as an object's fields is what is answered with.
func TestAnswersAreAsDocumented(t *testing.T) {
	s := newSite(t)
	o := s.document.Components.Schemas.Map()
	j := s.submit(s.admin(), `{"command":"x"}`)
	s.run(j.ID, 1, "x", failed(1))
	s.submit(s.admin(), `{"command":"x"}`)
	s.worker("atlas")
	plain := s.token("*", 4)
	for path, schema := range map[string]string{
		"/v1/jobs": "Jobs", "/v1/jobs/" + j.ID: "Job", "/v1/jobs/" + j.ID + "/events": "Events", "/v1/queue": "Queue", "/v1/workers": "Workers",
		"/v1/workers/atlas": "Worker", "/v1/events": "Events", "/readyz": "Ready", "/v1/settings": "Settings", "/v1/jobs/zzzzzzzz": "Problem",
	} {
		_, _, body := s.request("GET", path, plain, "")
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Fatal(err)
		}
		var result huma.ValidateResult
		huma.Validate(s.document.Components.Schemas, o[schema], huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, v, &result)
		if len(result.Errors) > 0 || o[schema] == nil {
			t.Errorf("%s is not a %s: %v: %.500s", path, schema, result.Errors, body)
		}
	}
}

func TestTheDocumentationNamesEveryOperation(t *testing.T) {
	s := newSite(t)
	resp := s.get("/docs", "")
	page, err := readAll(resp)
	if err != nil || resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%s %v, %v", resp.Status, resp.Header, err)
	}
	for _, route := range routes(s.document) {
		if !strings.Contains(page, route) {
			t.Errorf("%s is not on the page", route)
		}
	}
	for name := range s.document.Components.Schemas.Map() {
		if !strings.Contains(page, `id="schema-`+name+`"`) {
			t.Errorf("object %s is not on the page", name)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'") {
		t.Errorf("what the page may load: %q", csp)
	}
	for _, reference := range regexp.MustCompile(`(?:src|href|action|url)\s*[=(]\s*["']?([^"'\s>)]+)`).FindAllStringSubmatch(page, -1) {
		switch to := reference[1]; {
		case strings.HasPrefix(to, "#"):
			if !strings.Contains(page, `id="`+to[1:]+`"`) {
				t.Errorf("%s leads nowhere", to)
			}
		case to == "/docs/style.css", to == "/openapi.json":
			if status, _, _ := s.request("GET", to, "", ""); status != 200 {
				t.Errorf("%s: %d", to, status)
			}
		default:
			t.Errorf("the page refers to %s", to)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "style=") {
		t.Error("the page has scripts or styles that its own policy forbids")
	}
}

// Help names only commands that there are.
func TestHelpNamesCommandsThatExist(t *testing.T) {
	reference, err := os.ReadFile("../docs/command-line.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^## hodei ?(.*)$`).FindAllStringSubmatch(string(reference), -1) {
		known[heading[1]] = true
	}
	named := regexp.MustCompile(`\bhodei ([a-z]+)(?: ([a-z]+))?`)
	for _, dir := range []string{".", "../aggregates", "../commands"} {
		eachLiteral(t, dir, func(file, text string) {
			for _, m := range named.FindAllStringSubmatch(text, -1) {
				if !known[m[1]] || m[2] != "" && !known[m[1]+" "+m[2]] && known[m[1]+" list"] {
					t.Errorf("%s: there is no command %s", file, m[0])
				}
			}
		})
	}
}

// eachLiteral calls fn with every string in the code below a folder, tests and
// generated code left out.
func eachLiteral(t *testing.T, dir string, fn func(file, text string)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".pb.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if text, err := strconv.Unquote(l.Value); err == nil {
					fn(path, text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A field of the wire that has no value is left out, never null.
func TestNothingIsNull(t *testing.T) {
	for _, v := range []any{wire.Job{}, wire.Worker{}, wire.Event{Data: json.RawMessage("{}")}, wire.Class{}, wire.Problem{}, wire.LogPiece{}, wire.Ready{}} {
		if b := mustJSON(t, v); bytes.Contains(b, []byte("null")) {
			t.Errorf("%T: %s", v, b)
		}
	}
}
