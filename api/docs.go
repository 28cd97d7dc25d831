package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"sort"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/hodei-jobs/hodei/aggregates/token"
)

//go:embed docs.html
var docsHTML string

//go:embed docs.css
var docsCSS []byte

var docsTemplate = template.Must(template.New("docs").Parse(docsHTML))

// documentation serves /docs: the OpenAPI document for people, on one page that
// loads nothing from anywhere else.
func (s *server) documentation(e *echo.Echo, api huma.API) {
	read := []string{http.MethodGet, http.MethodHead}
	page := sync.OnceValues(func() ([]byte, error) {
		var b bytes.Buffer
		err := docsTemplate.Execute(&b, documented(api.OpenAPI()))
		return b.Bytes(), err
	})
	e.Match(read, "/docs", func(c echo.Context) error {
		html, err := page()
		if err != nil {
			return err
		}
		return c.HTMLBlob(http.StatusOK, html)
	})
	e.Match(read, "/docs/style.css", func(c echo.Context) error { return c.Blob(http.StatusOK, "text/css", docsCSS) })
}

type docPage struct {
	Title, Version, Description string
	Operations                  []docOperation
	Schemas                     []docSchema
}

type docOperation struct {
	ID, Method, Path, Summary, Description, Body string
	Role                                         string
	Parameters                                   []*huma.Param
	Statuses                                     []string
}

type docSchema struct {
	Name, Description string
	Fields            []docField
}

type docField struct {
	Name, Type, Doc string
	Required        bool
}

func documented(o *huma.OpenAPI) docPage {
	p := docPage{Title: o.Info.Title, Version: o.Info.Version, Description: o.Info.Description}
	for path, item := range o.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} { // there are no others
			if op != nil {
				p.Operations = append(p.Operations, documentedOperation(path, op))
			}
		}
	}
	sort.Slice(p.Operations, func(i, j int) bool {
		a, b := p.Operations[i], p.Operations[j]
		return a.Path < b.Path || a.Path == b.Path && a.Method < b.Method
	})
	for name, schema := range o.Components.Schemas.Map() {
		p.Schemas = append(p.Schemas, docSchema{Name: name, Description: schema.Description, Fields: fields(schema)})
	}
	sort.Slice(p.Schemas, func(i, j int) bool { return p.Schemas[i].Name < p.Schemas[j].Name })
	return p
}

func documentedOperation(path string, op *huma.Operation) docOperation {
	d := docOperation{ID: op.OperationID, Method: op.Method, Path: path, Summary: op.Summary, Description: op.Description, Parameters: op.Parameters}
	if role, ok := op.Metadata[roleKey].(token.Role); ok {
		d.Role = role.String()
	}
	if op.RequestBody != nil {
		for _, c := range op.RequestBody.Content {
			d.Body = schemaName(c.Schema)
		}
	}
	for status := range op.Responses {
		d.Statuses = append(d.Statuses, status)
	}
	sort.Strings(d.Statuses)
	return d
}

func fields(schema *huma.Schema) []docField {
	required := map[string]bool{}
	for _, r := range schema.Required {
		required[r] = true
	}
	var out []docField
	for name, f := range schema.Properties {
		out = append(out, docField{Name: name, Type: schemaName(f), Doc: f.Description, Required: required[name]})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func schemaName(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		return s.Ref[len("#/components/schemas/"):]
	case s.Type == huma.TypeArray:
		return schemaName(s.Items) + "[]"
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	}
	return s.Type
}
