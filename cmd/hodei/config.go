package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/hodei-jobs/hodei/api"
	"github.com/hodei-jobs/hodei/api/people"
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

	LogStore     string `koanf:"log_store"`
	OTLP         string `koanf:"otlp"`
	LogAfter     string `koanf:"log_archive_after"`
	LogKeep      string `koanf:"log_keep"`
	LogKeepBytes string `koanf:"log_keep_bytes"`

	Public     string `koanf:"public_url"`
	Issuer     string `koanf:"oidc_issuer"`
	Client     string `koanf:"oidc_client_id"`
	SecretFile string `koanf:"oidc_client_secret_file"`
	Roles      string `koanf:"oidc_roles"`

	MaxStreams      int `koanf:"max_streams"`
	MaxTokenStreams int `koanf:"max_token_streams"`

	rules []people.Rule     // of Roles
	logs  logSettings       // those of logs, as they were read
	from  map[string]string // by setting: who said so, for errors
}

// serverSettings are the settings of a configuration file; a flag has - for _,
// a variable is HODEI_ and capitals.
var serverSettings = []string{"advertise", "agent_dir", "data", "grpc", "http", "key_file",
	"log_archive_after", "log_format", "log_keep", "log_keep_bytes", "log_level", "log_store",
	"max_streams", "max_token_streams", "oidc_client_id", "oidc_client_secret_file", "oidc_issuer", "oidc_roles", "otlp", "public_url", "tls_cert", "tls_key"}

// serverFlags registers the flags of dev and server.
func serverFlags(f *pflag.FlagSet, data, level string) {
	f.String("config", "", "configuration `FILE` in YAML with these names, - as _ (HODEI_CONFIG)")
	f.String("data", data, "`FOLDER` of the data (HODEI_DATA)")
	f.String("http", "127.0.0.1:8080", "`ADDRESS` of the HTTP API (HODEI_HTTP)")
	f.String("grpc", "127.0.0.1:9090", "`ADDRESS` workers connect to (HODEI_GRPC)")
	f.String("advertise", "", "`URL` at which workers reach it, grpcs://HOST:PORT (default: the address it listens on)")
	f.String("tls-cert", "", "certificate `FILE` for workers; without one the server makes its own CA")
	f.String("tls-key", "", "key `FILE` of that certificate")
	f.String("key-file", "", "`FILE` with the key that wraps all others (default: DATA.key)")
	f.String("agent-dir", "", "`FOLDER` with hodei-agent (default: beside hodei, else the one within a release; in a source checkout it is built)")
	f.String("log-store", "", "where output of jobs lasts: a `FOLDER`, or S3: s3://BUCKET/PREFIX?endpoint=URL (default: DATA/archive)")
	f.String("log-archive-after", "1m", "`TIME` after which output of jobs goes to the log store, at most")
	f.String("log-keep", "0", "`TIME` for which output of a job is kept after its end, such as 90d; 0 is for ever")
	f.String("log-keep-bytes", "0", "`SIZE` of all output that is kept, the oldest goes first; 0 keeps all and warns above 10Gi")
	f.String("max-streams", strconv.Itoa(api.MaxStreams), "event streams open at once, at most this `NUMBER`")
	f.String("max-token-streams", strconv.Itoa(api.MaxTokenStreams), "event streams of one token, at most this `NUMBER`")
	f.String("otlp", "", "`URL` of an OpenTelemetry collector that is told of jobs that ended, such as http://localhost:4318 (OTLP over HTTP)")
	f.String("public-url", "", "`URL` at which browsers reach it, through a proxy with TLS (default: the address it listens on)")
	f.String("oidc-issuer", "", "`URL` of the OpenID provider at which people sign in")
	f.String("oidc-client-id", "", "`ID` of this server at the provider, which sends browsers back to PUBLIC-URL/login/oidc/callback")
	f.String("oidc-client-secret-file", "", "`FILE` with its secret there, if it has one")
	f.String("oidc-roles", "", "`RULES` of what people may do, such as 'group:admins=admin; domain:example.com=viewer@web'; the first that applies counts")
	f.String("log-level", level, "`LEVEL` of what the server tells of itself on standard error: debug, info, warn or error")
	f.String("log-format", "text", "`FORM` of what it tells: text or json")
}

// loadServerConfig reads the configuration and checks it.
func loadServerConfig(flags *pflag.FlagSet) (*serverConfig, error) {
	path := first(flags.Lookup("config").Value.String(), os.Getenv("HODEI_CONFIG"))
	var inFile map[string]string
	if path != "" {
		var err error
		if inFile, err = readSettings(path, serverSettings); err != nil {
			return nil, err
		}
	}
	values, c := map[string]any{}, &serverConfig{from: map[string]string{}}
	for _, name := range serverSettings {
		s := serverSetting(flags.Lookup(strings.ReplaceAll(name, "_", "-")), name, setting{inFile[name], name + " in " + path})
		values[name], c.from[name] = s.value, s.from
	}
	for _, name := range []string{"max_streams", "max_token_streams"} {
		if n, err := strconv.Atoi(fmt.Sprint(values[name])); err != nil || n < 1 {
			return nil, usage("%s is %q; it must be a number from 1", c.from[name], values[name])
		}
	}
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(values, ""), nil); err != nil {
		return nil, err
	}
	if err := k.Unmarshal("", c); err != nil {
		return nil, err
	}
	return c, c.check()
}

// serverSetting chooses a setting's value: flag, environment, file, default.
func serverSetting(f *pflag.Flag, name string, inFile setting) setting {
	byFlag := setting{f.Value.String(), "--" + f.Name}
	if f.Changed {
		return byFlag
	}
	return choose(variable("HODEI_"+strings.ToUpper(name)), inFile, byFlag)
}

// readSettings reads a YAML file of settings: names and plain values. A setting
// that is not known is refused.
func readSettings(path string, known []string) (map[string]string, error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		why := reason(err)
		if text, ok := strings.CutPrefix(err.Error(), "yaml: "); ok {
			why = "it is not YAML: " + strings.SplitN(text, "\n", 2)[0]
		}
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("cannot read %s: %s", path, why), help: "a line a setting, such as " + known[0] + ": VALUE"}
	}
	settings := map[string]string{}
	for name, value := range k.Raw() {
		if !slices.Contains(known, name) {
			e := &exitError{code: exitUsage, err: fmt.Errorf("%s: unknown setting %q", path, name), help: "all settings: " + strings.Join(known, ", ")}
			if near := nearest(name, known); near != "" {
				e.help = "did you mean " + near + "? " + e.help
			}
			return nil, e
		}
		switch value.(type) {
		case string, bool, int, int64, uint64, float64:
			settings[name] = fmt.Sprint(value)
		case nil:
		default:
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s: %s must be a single value", path, name), help: "write it as " + name + ": VALUE"}
		}
	}
	return settings, nil
}

func (c *serverConfig) check() error {
	if c.Data == "" {
		return usage("--data is empty; it names the folder the server keeps its data in")
	}
	var err error
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return usage("%s: %s", c.from["data"], reason(err))
	}
	if c.KeyFile == "" {
		c.KeyFile = c.Data + ".key"
	}
	for name, address := range map[string]string{"http": c.HTTP, "grpc": c.GRPC} {
		if err := c.checkAddress(name, address); err != nil {
			return err
		}
	}
	if !loopback(c.HTTP) {
		return &exitError{code: exitUsage, err: fmt.Errorf("%s is %s, which is not loopback, and the HTTP API has no TLS of its own", c.from["http"], c.HTTP),
			help: "listen on 127.0.0.1 and put a proxy with TLS in front"}
	}
	if c.OTLP != "" {
		if err := c.checkOTLP(); err != nil {
			return err
		}
	}
	if c.Advertise != "" {
		address, ok := strings.CutPrefix(c.Advertise, "grpcs://")
		if _, _, err := net.SplitHostPort(address); !ok || err != nil {
			return usage("%s is %q; it must be grpcs://HOST:PORT", c.from["advertise"], c.Advertise)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return usage("--tls-cert and --tls-key go together; only one of them is set")
	}
	if _, err := c.level(); err != nil {
		return err
	}
	if err := c.checkLogs(); err != nil {
		return err
	}
	if err := c.checkPeople(); err != nil {
		return err
	}
	if c.LogForm != "text" && c.LogForm != "json" {
		return usage("%s is %q; it may be text or json", c.from["log_format"], c.LogForm)
	}
	return nil
}

func (c *serverConfig) checkAddress(name, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return usage("%s is %q; it must be HOST:PORT, such as 127.0.0.1:8080", c.from[name], address)
	}
	return nil
}

func (c *serverConfig) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return l, usage("%s is %q; it may be debug, info, warn or error", c.from["log_level"], c.LogLevel)
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
