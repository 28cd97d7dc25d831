package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// serverConfig is what a server is started with: flag, environment (HODEI_DATA,
// HODEI_HTTP, …), file, default, in this order. What shapes the cluster itself
// (policy, tolerance, …) is not here: that is set by events.
type serverConfig struct {
	Data      string `koanf:"data"`
	HTTP      string `koanf:"http"`
	GRPC      string `koanf:"grpc"`
	Advertise string `koanf:"advertise"`
	TLSCert   string `koanf:"tls_cert"`
	TLSKey    string `koanf:"tls_key"`
	KeyFile   string `koanf:"key_file"`
	AgentDir  string `koanf:"agent_dir"`
	LogLevel  string `koanf:"log_level"`
	LogForm   string `koanf:"log_format"`
}

// serverFlags registers the flags of dev and server.
func serverFlags(f *pflag.FlagSet, data string) {
	f.String("config", "", "configuration `file` in YAML with these names, - as _ (HODEI_CONFIG)")
	f.String("data", data, "`folder` of the data (HODEI_DATA)")
	f.String("http", "127.0.0.1:8080", "`address` of the HTTP API (HODEI_HTTP)")
	f.String("grpc", "127.0.0.1:9090", "`address` workers connect to (HODEI_GRPC)")
	f.String("advertise", "", "`URL` at which workers reach it, grpcs://HOST:PORT (default: the address it listens on)")
	f.String("tls-cert", "", "certificate `file` for workers; without one the server makes its own CA")
	f.String("tls-key", "", "key `file` of that certificate")
	f.String("key-file", "", "`file` with the key that wraps all others (default: DATA.key)")
	f.String("agent-dir", "", "`folder` with hodei-agent binaries")
	f.String("log-level", "info", "debug, info, warn or error")
	f.String("log-format", "text", "text or json, on standard error")
}

// loadServerConfig reads the configuration and checks it.
func loadServerConfig(flags *pflag.FlagSet) (*serverConfig, error) {
	k := koanf.New(".")
	known := map[string]any{}
	flags.VisitAll(func(f *pflag.Flag) {
		if name := under(f.Name); isServerKey(name) {
			known[name] = f.DefValue
		}
	})
	if err := k.Load(confmap.Provider(known, "."), nil); err != nil {
		return nil, err
	}
	path := first(flags.Lookup("config").Value.String(), os.Getenv("HODEI_CONFIG"))
	if path != "" {
		if err := loadConfigFile(k, path, known); err != nil {
			return nil, err
		}
	}
	err := k.Load(env.Provider(".", env.Opt{Prefix: "HODEI_", TransformFunc: func(key, value string) (string, any) {
		name := strings.ToLower(strings.TrimPrefix(key, "HODEI_"))
		if _, ok := known[name]; !ok {
			return "", nil
		}
		return name, value
	}}), nil)
	if err != nil {
		return nil, err
	}
	changed := posflag.ProviderWithFlag(flags, ".", k, func(f *pflag.Flag) (string, any) {
		if name := under(f.Name); f.Changed && isServerKey(name) {
			return name, f.Value.String()
		}
		return "", nil
	})
	if err := k.Load(changed, nil); err != nil {
		return nil, err
	}
	c := &serverConfig{}
	if err := k.Unmarshal("", c); err != nil {
		return nil, usage("the configuration can't be read: %v", err)
	}
	return c, c.check()
}

func loadConfigFile(k *koanf.Koanf, path string, known map[string]any) error {
	own := koanf.New(".")
	if err := own.Load(file.Provider(path), yaml.Parser()); err != nil {
		return usage("cannot read the configuration file: %v", err)
	}
	for _, key := range own.Keys() {
		if _, ok := known[key]; !ok {
			e := &exitError{code: exitUsage, err: fmt.Errorf("%s: unknown setting %q", path, key), help: "all settings: " + strings.Join(sortedKeys(known), ", ")}
			if near := nearest(key, sortedKeys(known)); near != "" {
				e.help = "did you mean " + near + "? " + e.help
			}
			return e
		}
	}
	return k.Merge(own)
}

func under(name string) string { return strings.ReplaceAll(name, "-", "_") }

func isServerKey(name string) bool {
	switch name {
	case "data", "http", "grpc", "advertise", "tls_cert", "tls_key", "key_file", "agent_dir", "log_level", "log_format":
		return true
	}
	return false
}

func (c *serverConfig) check() error {
	if c.Data == "" {
		return usage("--data is empty; it names the folder the server keeps its data in")
	}
	var err error
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return usage("--data: %v", err)
	}
	if c.KeyFile == "" {
		c.KeyFile = c.Data + ".key"
	}
	for _, a := range []struct{ flag, value string }{{"--http", c.HTTP}, {"--grpc", c.GRPC}} {
		if _, _, err := net.SplitHostPort(a.value); err != nil {
			return usage("%s is %q; it must be HOST:PORT, such as 127.0.0.1:8080", a.flag, a.value)
		}
	}
	if !loopback(c.HTTP) {
		return &exitError{code: exitUsage, err: fmt.Errorf("--http %s is not loopback, and the HTTP API has no TLS of its own", c.HTTP),
			help: "listen on 127.0.0.1 and put a proxy with TLS in front"}
	}
	if c.Advertise != "" && !strings.HasPrefix(c.Advertise, "grpcs://") {
		return usage("--advertise is %q; it must be grpcs://HOST:PORT", c.Advertise)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return usage("--tls-cert and --tls-key go together")
	}
	if _, err := c.level(); err != nil {
		return err
	}
	if c.LogForm != "text" && c.LogForm != "json" {
		return usage("--log-format is %q; it may be text or json", c.LogForm)
	}
	return nil
}

func (c *serverConfig) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return l, usage("--log-level is %q; it may be debug, info, warn or error", c.LogLevel)
	}
	return l, nil
}

// logger returns the server's logger, on standard error.
func (a *app) logger(c *serverConfig) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogForm == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, o)), nil
	}
	return slog.New(slog.NewTextHandler(a.stderr, o)), nil
}

// loopback says whether an address is reached from this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// dataDir returns the folder for data of that name, such as ~/.local/share/hodei/dev.
func dataDir(name string) string {
	if d := os.Getenv("XDG_DATA_HOME"); d != "" {
		return filepath.Join(d, "hodei", name)
	}
	home := homeDir()
	if home == "" {
		return filepath.Join("hodei-data", name)
	}
	return filepath.Join(home, ".local", "share", "hodei", name)
}

// homeDir returns the user's home folder, or "".
func homeDir() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return home
}
