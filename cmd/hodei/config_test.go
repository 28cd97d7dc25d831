package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"github.com/hodei-jobs/hodei/eventstore/blob/s3"
)

// write writes a file of the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loadWith loads the server's configuration from flags, variables and a file.
func loadWith(t *testing.T, file string, variables map[string]string, flags ...string) (*serverConfig, error) {
	t.Helper()
	for name, value := range variables {
		t.Setenv(name, value)
	}
	if file != "" {
		flags = append(flags, "--config", write(t, "hodei.yaml", file))
	}
	f := pflag.NewFlagSet("server", pflag.ContinueOnError)
	serverFlags(f, "/default", "info")
	if err := f.Parse(flags); err != nil {
		t.Fatal(err)
	}
	return loadServerConfig(f)
}

func TestServerConfig(t *testing.T) {
	type vars = map[string]string
	defaults := serverConfig{Data: "/default", KeyFile: "/default.key", HTTP: "127.0.0.1:8080", GRPC: "127.0.0.1:9090", LogLevel: "info", LogForm: "text",
		LogAfter: "1m", LogKeep: "0", LogKeepBytes: "0", MaxStreams: 10_000, MaxTokenStreams: 1000}
	with := func(change func(*serverConfig)) serverConfig {
		c := defaults
		change(&c)
		return c
	}
	for _, row := range []struct {
		name  string
		file  string
		vars  vars
		flags []string
		want  serverConfig
	}{
		{"nothing said", "", nil, nil, defaults},
		{"the file over the default", "http: 127.0.0.1:1\nlog_format: json\n", nil, nil,
			with(func(c *serverConfig) { c.HTTP, c.LogForm = "127.0.0.1:1", "json" })},
		{"limits", "max_streams: 50\n", nil, []string{"--max-token-streams", "5"},
			with(func(c *serverConfig) { c.MaxStreams, c.MaxTokenStreams = 50, 5 })},
		{"the environment over the file", "http: 127.0.0.1:1\ngrpc: 127.0.0.1:2\n", vars{"HODEI_HTTP": "127.0.0.1:3"}, nil,
			with(func(c *serverConfig) { c.HTTP, c.GRPC = "127.0.0.1:3", "127.0.0.1:2" })},
		{"the flag over all", "http: 127.0.0.1:1\n", vars{"HODEI_HTTP": "127.0.0.1:3"}, []string{"--http", "127.0.0.1:4"},
			with(func(c *serverConfig) { c.HTTP = "127.0.0.1:4" })},
		{"an empty variable says nothing", "http: 127.0.0.1:1\n", vars{"HODEI_HTTP": ""}, nil,
			with(func(c *serverConfig) { c.HTTP = "127.0.0.1:1" })},
		{"other variables say nothing", "", vars{"HODEI_API_URL": "http://127.0.0.1:1", "HODEI_NONSENSE": "1"}, nil, defaults},
		{"an empty file says nothing", "# nothing\n", nil, nil, defaults},
		{"names with two words", "", vars{"HODEI_LOG_LEVEL": "debug", "HODEI_AGENT_DIR": "/agents"}, []string{"--key-file", "/key"},
			with(func(c *serverConfig) { c.LogLevel, c.AgentDir, c.KeyFile = "debug", "/agents", "/key" })},
		{"the key lies beside the data", "", nil, []string{"--data", "/elsewhere"},
			with(func(c *serverConfig) { c.Data, c.KeyFile = "/elsewhere", "/elsewhere.key" })},
		{"loopback by name, and of version 6", "", nil, []string{"--http", "localhost:80", "--grpc", "[::]:9090", "--advertise", "grpcs://hodei.example.com:443"},
			with(func(c *serverConfig) {
				c.HTTP, c.GRPC, c.Advertise = "localhost:80", "[::]:9090", "grpcs://hodei.example.com:443"
			})},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := loadWith(t, row.file, row.vars, row.flags...)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.want, *got, cmpopts.IgnoreUnexported(serverConfig{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhereLogsLast(t *testing.T) {
	for _, row := range []struct {
		flags []string
		want  logSettings
	}{
		{nil, logSettings{dir: "/default/archive/objects", after: time.Minute}},
		{[]string{"--log-store", "/logs", "--log-keep", "90d", "--log-keep-bytes", "2Gi", "--log-archive-after", "5s"},
			logSettings{dir: "/logs", after: 5 * time.Second, keep: 90 * 24 * time.Hour, keepBytes: 2 << 30}},
		{[]string{"--log-store", "s3://ci/hodei/logs/?endpoint=https://s3.example.com&region=eu-west-1"},
			logSettings{after: time.Minute, s3: &s3.Config{Endpoint: "https://s3.example.com", Region: "eu-west-1", Bucket: "ci", Prefix: "hodei/logs/"}}},
		{[]string{"--log-store", "s3://ci?endpoint=http://127.0.0.1:9000"},
			logSettings{after: time.Minute, s3: &s3.Config{Endpoint: "http://127.0.0.1:9000", Region: "us-east-1", Bucket: "ci"}}},
	} {
		got, err := loadWith(t, "", nil, row.flags...)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(row.want, got.logs, cmp.AllowUnexported(logSettings{})); d != "" {
			t.Errorf("%v: %s", row.flags, d)
		}
	}
}

// A wrong configuration is refused at the start, by the name of who said it.
func TestWrongServerConfig(t *testing.T) {
	type vars = map[string]string
	for _, row := range []struct {
		name  string
		file  string
		vars  vars
		flags []string
		says  string
	}{
		{"HTTP for everybody", "", nil, []string{"--http", "0.0.0.0:80"}, "--http is 0.0.0.0:80, which is not loopback, and the HTTP API has no TLS of its own"},
		{"HTTP on all addresses", "", nil, []string{"--http", ":80"}, "--http is :80, which is not loopback"},
		{"HTTP for everybody, by a variable", "", vars{"HODEI_HTTP": "10.0.0.1:80"}, nil, "HODEI_HTTP is 10.0.0.1:80, which is not loopback"},
		{"an address without a port", "http: localhost\n", nil, nil, `http in FILE is "localhost"; it must be HOST:PORT, such as 127.0.0.1:8080`},
		{"a port that is none", "", nil, []string{"--grpc", "127.0.0.1:http"}, `--grpc is "127.0.0.1:http"; it must be HOST:PORT`},
		{"a port that is too large", "", nil, []string{"--grpc", "127.0.0.1:65536"}, `--grpc is "127.0.0.1:65536"; it must be HOST:PORT`},
		{"a limit that is none", "max_streams: many\n", nil, nil, `max_streams in FILE is "many"; it must be a number from 1`},
		{"a limit of nothing", "", nil, []string{"--max-token-streams", "0"}, `--max-token-streams is "0"; it must be a number from 1`},
		{"no data folder", "", nil, []string{"--data", ""}, "--data is empty"},
		{"workers without TLS", "", nil, []string{"--advertise", "grpc://x:1"}, `--advertise is "grpc://x:1"; it must be grpcs://HOST:PORT`},
		{"workers without a port", "", nil, []string{"--advertise", "grpcs://x"}, `--advertise is "grpcs://x"; it must be grpcs://HOST:PORT`},
		{"a certificate without its key", "", nil, []string{"--tls-cert", "x"}, "--tls-cert and --tls-key go together"},
		{"a level that is none", "", vars{"HODEI_LOG_LEVEL": "loud"}, nil, `HODEI_LOG_LEVEL is "loud"; it may be debug, info, warn or error`},
		{"a format that is none", "log_format: xml\n", nil, nil, `log_format in FILE is "xml"; it may be text or json`},
		{"a time that is none", "", nil, []string{"--log-keep", "long"}, `--log-keep: "long" is not a duration; write it such as 90d or 30s`},
		{"a journal for each line", "", nil, []string{"--log-archive-after", "1ms"}, "--log-archive-after is 1ms; the least is 100ms"},
		{"a size that is none", "log_keep_bytes: much\n", nil, nil, `log_keep_bytes in FILE: "much" is not a size; write it such as 100Gi`},
		{"a store that is none", "", vars{"HODEI_LOG_STORE": "ftp://x"}, nil, `HODEI_LOG_STORE is "ftp://x"; it may be a folder or begin with s3://`},
		{"S3 without a bucket", "", nil, []string{"--log-store", "s3:///x?endpoint=http://h"}, "--log-store: the bucket is missing; write it as s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME"},
		{"S3 nowhere", "", nil, []string{"--log-store", "s3://b"}, "--log-store: the endpoint is missing"},
		{"S3 with an option that is none", "", nil, []string{"--log-store", "s3://b?endpoint=http://h&secret=x"}, `--log-store: there is no option "secret"`},
		{"S3 without a scheme", "", nil, []string{"--log-store", "s3://b?endpoint=h:9000"}, `--log-store: the endpoint "h:9000" must begin with http:// or https://`},
		{"a provider without an id", "", nil, []string{"--oidc-issuer", "https://id.example.com"}, "--oidc-issuer is set, and --oidc-client-id is not"},
		{"a provider without rules", "oidc_client_id: x\n", nil, []string{"--oidc-issuer", "https://id.example.com"}, "--oidc-issuer is set, and --oidc-roles is not"},
		{"rules without a provider", "", vars{"HODEI_OIDC_ROLES": "*=viewer"}, nil, "HODEI_OIDC_ROLES is set, and nothing says at which provider"},
		{"a provider in the clear", "", nil, []string{"--oidc-issuer", "http://id.example.com", "--oidc-client-id", "x", "--oidc-roles", "*=viewer"}, `--oidc-issuer is "http://id.example.com"; it must be the https URL`},
		{"a rule that is none", "", nil, []string{"--oidc-issuer", "http://127.0.0.1:5556", "--oidc-client-id", "x", "--oidc-roles", "ana=root"}, `--oidc-roles: "ana=root": "root" is not a role`},
		{"an address for browsers that is none", "", nil, []string{"--public-url", "hodei.example.com"}, `--public-url is "hodei.example.com"; it must be a URL without a path`},
		{"a setting that is none", "dat: /x\n", nil, nil, `FILE: unknown setting "dat"` + "\nhelp: did you mean data? all settings: advertise, "},
		{"a setting within another", "http:\n  port: 1\n", nil, nil, "FILE: http must be a single value"},
		{"a file that is no YAML", "http: \"x\n", nil, nil, "cannot read FILE: it is not YAML: "},
		{"a file that is not there", "", vars{"HODEI_CONFIG": "/nowhere"}, nil, "cannot read /nowhere: no such file or directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := loadWith(t, row.file, row.vars, row.flags...)
			if err == nil {
				t.Fatal("no error")
			}
			e := (&app{}).explain(err)
			said := e.Error() + "\nhelp: " + e.help
			for _, word := range strings.Fields(said) {
				if strings.HasSuffix(strings.TrimSuffix(word, ":"), "hodei.yaml") {
					said = strings.ReplaceAll(said, strings.TrimSuffix(word, ":"), "FILE")
				}
			}
			if !strings.HasPrefix(said, row.says) || e.code != exitUsage {
				t.Errorf("code %d, said %q, want %q", e.code, said, row.says)
			}
		})
	}
}

// Where the server is and who asks: flag, environment, file, what hodei dev left.
func TestAccess(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"HODEI_API_URL", "HODEI_API_TOKEN", "HODEI_TOKEN_FILE", "HODEI_NAMESPACE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HODEI_CONFIG_DIR", dir)
	a := &app{}
	check := func(name string, want access) {
		t.Helper()
		want.dir = dir
		got, err := a.findAccess()
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	want := access{url: defaultURL}
	check("nothing said", want)

	kept := filepath.Join(dir, "data.token")
	if err := keep(kept, "hodei_kept"); err != nil {
		t.Fatal(err)
	}
	left := pointer{"http://127.0.0.1:1", kept}
	if _, _, err := left.set(dir); err != nil {
		t.Fatal(err)
	}
	want = access{url: left.url, urlFrom: filepath.Join(dir, serverName), token: "hodei_kept", tokenFrom: filepath.Join(dir, tokenName)}
	check("what hodei dev left", want)

	config, file := filepath.Join(dir, configName), write(t, "token", "hodei_file\n")
	if err := os.WriteFile(config, []byte("server: http://127.0.0.1:2\nnamespace: web\ntoken_file: "+file+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want = access{url: "http://127.0.0.1:2", urlFrom: config, namespace: "web", token: "hodei_file", tokenFrom: file}
	check("the configuration file", want)

	for name, value := range map[string]string{"HODEI_API_URL": "http://127.0.0.1:3", "HODEI_API_TOKEN": "hodei_env", "HODEI_NAMESPACE": "ml"} {
		t.Setenv(name, value)
	}
	want = access{url: "http://127.0.0.1:3", urlFrom: "HODEI_API_URL", namespace: "ml", token: "hodei_env", tokenFrom: "HODEI_API_TOKEN"}
	check("the environment", want)

	a.server, a.namespace, a.tokenFile = "http://127.0.0.1:4", "sandbox", write(t, "other", "hodei_flag")
	want = access{url: "http://127.0.0.1:4", urlFrom: "--server", namespace: "sandbox", token: "hodei_flag", tokenFrom: a.tokenFile}
	check("the flags", want)

	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file can be read by others: %v, %v", info, err)
	}
	a.tokenFile = "/nowhere"
	if _, err := a.findAccess(); err == nil || err.Error() != "cannot read a token from /nowhere (from --token-file): no such file or directory" {
		t.Errorf("a token file that is not there: %v", err)
	}
}
