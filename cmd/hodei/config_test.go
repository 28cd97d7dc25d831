package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Flag over environment over file over default.
func TestServerConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hodei.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func(args ...string) (*serverConfig, error) {
		t.Helper()
		f := pflag.NewFlagSet("server", pflag.ContinueOnError)
		serverFlags(f, "/default")
		if err := f.Parse(args); err != nil {
			t.Fatal(err)
		}
		return loadServerConfig(f)
	}
	want := func(name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	want("the default", c.Data, "/default")
	want("beside it", c.KeyFile, "/default.key")
	write("data: /file\nhttp: 127.0.0.1:1\n")
	t.Setenv("HODEI_CONFIG", file)
	if c, err = load(); err != nil {
		t.Fatal(err)
	}
	want("the file over the default", c.Data, "/file")
	t.Setenv("HODEI_DATA", "/env")
	if c, err = load(); err != nil {
		t.Fatal(err)
	}
	want("the environment over the file", c.Data, "/env")
	want("what only the file says", c.HTTP, "127.0.0.1:1")
	if c, err = load("--data", "/flag"); err != nil {
		t.Fatal(err)
	}
	want("the flag over the environment", c.Data, "/flag")
	write("dat: /file\n")
	if _, err = load(); err == nil || !strings.Contains(err.Error(), `unknown setting "dat"`) {
		t.Errorf("an unknown setting: %v", err)
	}
}

func TestLoadAccess(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HODEI_CONFIG_DIR", dir)
	t.Setenv("HODEI_API_URL", "")
	t.Setenv("HODEI_API_TOKEN", "")
	check := func(name, server, url, token string) {
		t.Helper()
		a, err := loadAccess(server, "")
		if err != nil || a.url != url || a.token != token {
			t.Errorf("%s: %+v, %v; want %s %s", name, a, err, url, token)
		}
	}
	check("nothing", "", defaultURL, "")
	for name, text := range map[string]string{tokenName: "hodei_kept", serverName: "http://127.0.0.1:1"} {
		if err := keepSecret(filepath.Join(dir, name), text); err != nil {
			t.Fatal(err)
		}
	}
	check("what hodei dev left", "", "http://127.0.0.1:1", "hodei_kept")
	if err := os.WriteFile(filepath.Join(dir, configName), []byte("server: http://127.0.0.1:2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("the configuration file", "", "http://127.0.0.1:2", "hodei_kept")
	t.Setenv("HODEI_API_URL", "http://127.0.0.1:3")
	t.Setenv("HODEI_API_TOKEN", "hodei_env")
	check("the environment", "", "http://127.0.0.1:3", "hodei_env")
	check("the flag", "http://127.0.0.1:4", "http://127.0.0.1:4", "hodei_env")
	if info, err := os.Stat(filepath.Join(dir, tokenName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token's file: %v, %v", info, err)
	}
}
