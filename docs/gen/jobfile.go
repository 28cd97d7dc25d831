package main

import (
	"cmp"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
)

// schemaFile documents a job's fields, reasonFile why jobs wait.
const (
	schemaFile = "api/schema.go"
	reasonFile = "commands/placement/reason.go"
)

const jobFileIntro = `# Job files

A job as YAML or JSON, for ` + "`hodei run -f FILE`" + ` and, as JSON, the body of ` + "`POST /v1/jobs`" + `. A file holds one
job; flags of ` + "`run`" + ` win over it. It runs in an empty folder of its own, which is removed when it has ended.

` + "```yaml" + `
name: build-web
steps:
  - name: fetch
    run: git clone --depth 1 https://example.com/web.git .
  - name: test
    run: make test
    timeout: 5m
env:
  GOFLAGS: -race
labels:
  team: web
requires:
  arch: amd64
  disk: ssd
resources:
  cpu: 2
  memory: 2Gi
timeout: 30m
retries:
  max: 2
  on: [lost, out_of_memory]
  backoff: 10s
cancel:
  signal: INT
  grace: 30s
` + "```" + `

`

const stepIntro = `## What a step finds

It begins in the job's folder, with the environment of the worker, of the job and of the step, and with

| variable | meaning |
|---|---|
| ` + "`HODEI`, `CI`" + ` | ` + "`true`" + ` |
| ` + "`HODEI_JOB_ID`, `HODEI_JOB_NAME`, `HODEI_NAMESPACE`" + ` | The job |
| ` + "`HODEI_ATTEMPT`, `HODEI_STEP`" + ` | Numbers from 1 on |
| ` + "`HODEI_WORKSPACE`" + ` | The job's folder |
| ` + "`HODEI_AGENT`" + ` | The agent's program, by its whole path; for steps it has the command ` + "`mask`" + ` |
| ` + "`HODEI_AGENT_SOCKET`" + ` | Where that reaches the agent; it is there for as long as the attempt |
| ` + "`TRACEPARENT`" + ` | What the job was submitted with, if it was |

### Secrets that a step makes

The job's ` + "`secrets`" + ` are shown as ` + "`***`" + ` in its output, however they are printed. A step has others hidden likewise:

` + "```sh" + `
token=$(login --print-token)
printf %s "$token" | "$HODEI_AGENT" mask   # or: "$HODEI_AGENT" mask -- "$token", which others on the machine can see
echo "got $token"                          # got ***
` + "```" + `

From its return on the value is hidden in this step and those that follow: as it is, in base64, in hex, and quoted for
URLs, JSON, XML, shells and Go. It is written nowhere. What the command exits with:

| exit code | meaning |
|---|---|
| 0 | It is masked |
| 1 | The agent can't be reached |
| 2 | Wrong usage |
| 3 | It is not masked, and the text says why: fewer than 4 bytes, more than 65,536, or too many already (500, or 98,304 bytes; those that all jobs of a worker add are bounded too) |

This guards against accidents, not against a job that means to give a secret away.

`

const waitingIntro = `## Why a job waits

The word at the front of a reason, as ` + "`hodei job list`, `hodei queue`" + ` and ` + "`reason`" + ` of the API show it.

| reason | meaning |
|---|---|
`

const clientIntro = `
## Settings of the command line

` + "`config.yaml`" + ` in ` + "`~/.config/hodei`, or in `HODEI_CONFIG_DIR`" + `, says which server is asked, and as whom. A flag wins over a
variable, a variable over the file, the file over what ` + "`hodei dev`" + ` left there: the token of the one started
last in ` + "`token`" + `, and where those that run listen in ` + "`server`" + `.

| in the file | variable | flag | meaning |
|---|---|---|---|
| ` + "`server` | `HODEI_API_URL` | `--server`" + ` | URL of the server |
| ` + "`token_file` | `HODEI_TOKEN_FILE`, or `HODEI_API_TOKEN` for the token itself | `--token-file`" + ` | file with the API token |
| ` + "`namespace` | `HODEI_NAMESPACE` | `-n`" + ` | namespace; all that the token allows if left out |
`

// jobFiles makes the page of what job files hold.
func jobFiles(_ context.Context, root string) (string, error) {
	schema, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, schemaFile), nil, parser.ParseComments)
	if err != nil {
		return "", err
	}
	reasons, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, reasonFile), nil, parser.ParseComments)
	if err != nil {
		return "", err
	}
	var page strings.Builder
	page.WriteString(notice + jobFileIntro)
	ast.Inspect(schema, func(n ast.Node) bool {
		if t, ok := n.(*ast.TypeSpec); ok {
			if fields, ok := t.Type.(*ast.StructType); ok {
				writeFields(&page, t.Name.Name, fields)
			}
		}
		return true
	})
	page.WriteString(stepIntro + waitingIntro)
	ast.Inspect(reasons, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && v.Comment != nil {
			if text, ok := v.Values[0].(*ast.BasicLit); ok {
				page.WriteString("| `" + unquote(text) + "` | " + cell(strings.TrimSpace(v.Comment.Text())) + " |\n")
			}
		}
		return true
	})
	page.WriteString("| `dispatched` | it was sent to a worker, which has not yet confirmed it |\n")
	return page.String() + clientIntro, nil
}

// writeFields adds the table of a type: Spec is the file, SpecRetries is retries.
func writeFields(page *strings.Builder, name string, t *ast.StructType) {
	if len(t.Fields.List) == 0 { // its value is told of where it is used
		return
	}
	title := "The file"
	switch below := strings.ToLower(strings.TrimPrefix(name, "Spec")); below {
	case "":
	case "step":
		title = "Each of `steps`"
	default:
		title = "`" + below + "`"
	}
	page.WriteString("## " + title + "\n\n| field | meaning |\n|---|---|\n")
	for _, f := range t.Fields.List {
		tag := reflect.StructTag(unquote(f.Tag))
		field, _, _ := strings.Cut(tag.Get("json"), ",")
		page.WriteString("| `" + field + "` | " + cell(meaning(tag)) + " |\n")
	}
	page.WriteString("\n")
}

// meaning is what a field's tag says of it.
func meaning(tag reflect.StructTag) string {
	var parts []string
	if doc := tag.Get("doc"); doc != "" {
		parts = append(parts, doc)
	}
	if words := tag.Get("enum"); words != "" {
		parts = append(parts, "one of `"+strings.ReplaceAll(words, ",", "`, `")+"`")
	}
	if most := cmp.Or(tag.Get("maximum"), tag.Get("maxLength"), tag.Get("maxItems")); most != "" {
		parts = append(parts, "at most "+most+map[bool]string{true: " characters"}[tag.Get("maxLength") != ""])
	}
	if example := tag.Get("example"); example != "" {
		parts = append(parts, "such as `"+example+"`")
	}
	return strings.Join(parts, "; ")
}

func unquote(l *ast.BasicLit) string {
	text, err := strconv.Unquote(l.Value)
	if err != nil { // never: it was parsed
		return l.Value
	}
	return text
}
