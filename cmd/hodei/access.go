package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hodei-jobs/hodei/api/client"
)

// defaultURL is where a server listens unless it was told otherwise.
const defaultURL = "http://127.0.0.1:8080"

// Files in the user's configuration folder.
const (
	tokenName  = "token"       // API token: of the hodei dev started last, or one put there by hand
	serverName = "server"      // the hodei dev that run, see pointer
	sessionIn  = "session"     // id of the token, if hodei login got it from a provider: hodei logout ends that one alone
	lastName   = "last"        // id of the job submitted last from here
	configName = "config.yaml" // server: URL, token_file: FILE, namespace: NAME
)

// clientSettings are what config.yaml may hold.
var clientSettings = []string{"namespace", "server", "token_file"}

// configDir returns the user's configuration folder, such as ~/.config/hodei.
func configDir() (string, error) {
	if d := os.Getenv("HODEI_CONFIG_DIR"); d != "" {
		return d, nil
	}
	d, err := os.UserConfigDir()
	if err != nil {
		return "", usage("cannot find the folder of your configuration: neither HODEI_CONFIG_DIR nor HOME is set")
	}
	return filepath.Join(d, "hodei"), nil
}

// access is which server is asked, as whom, and where that was said; a from is
// empty if nobody said it.
type access struct {
	url, urlFrom     string
	token, tokenFrom string
	namespace        string // "" is what the token allows
	dir              string // the user's configuration folder
}

// setting is a value with where it comes from.
type setting struct{ value, from string }

// choose returns the first setting that has a value.
func choose(settings ...setting) setting {
	for _, s := range settings {
		if s.value != "" {
			return s
		}
	}
	return setting{}
}

// client returns the API's client, from flags, environment and files.
func (a *app) client() (*client.Client, error) {
	found, err := a.findAccess()
	if err != nil {
		return nil, err
	}
	a.access = found
	cl, err := client.New(client.Config{URL: found.url, Token: found.token})
	if err != nil {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("the server's address is %q%s; it must be a URL such as %s", found.url, from(found.urlFrom), defaultURL)}
	}
	return cl, nil
}

// findAccess finds server and token: flag, environment, configuration file, what
// lies in the configuration folder, default, in this order.
func (a *app) findAccess() (access, error) {
	dir, err := configDir()
	if err != nil {
		return access{}, err
	}
	file := filepath.Join(dir, configName)
	var k map[string]string
	if _, err := os.Stat(file); err == nil {
		if k, err = readSettings(file, clientSettings); err != nil {
			return access{}, err
		}
	}
	found := access{dir: dir}
	url := choose(setting{a.server, "--server"}, variable("HODEI_API_URL"), setting{k["server"], file}, setting{readPointer(dir).url, filepath.Join(dir, serverName)})
	found.url, found.urlFrom = first(url.value, defaultURL), short(url.from)
	if !a.allNamespaces {
		found.namespace = choose(setting{a.namespace, "-n"}, variable("HODEI_NAMESPACE"), setting{k["namespace"], file}).value
	}
	token, err := a.findToken(dir, setting{k["token_file"], file})
	found.token, found.tokenFrom = token.value, token.from
	return found, err
}

// findToken finds the token, or none.
func (a *app) findToken(dir string, configured setting) (setting, error) {
	if a.tokenFile != "" {
		return tokenIn(setting{a.tokenFile, "--token-file"})
	}
	if t := variable("HODEI_API_TOKEN"); t.value != "" {
		return t, nil
	}
	if named := choose(variable("HODEI_TOKEN_FILE"), configured); named.value != "" {
		return tokenIn(named)
	}
	file := filepath.Join(dir, tokenName)
	if line := readLine(file); line != "" {
		return setting{line, file}, nil
	}
	return setting{}, nil
}

// tokenIn reads the token from a file that somebody named.
func tokenIn(file setting) (setting, error) {
	if line := readLine(file.value); line != "" {
		return setting{line, file.value}, nil
	}
	_, err := os.ReadFile(file.value)
	if err == nil {
		err = errors.New("it is empty")
	}
	return setting{}, usage("cannot read a token from %s%s: %s", file.value, from(short(file.from)), reason(err))
}

func variable(name string) setting { return setting{os.Getenv(name), name} }

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// readLine returns the first line of a file, or "" if it can't be read.
func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// keep writes a file that only its owner can read, whole or not at all.
func keep(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if _, err := tmp.WriteString(content + "\n"); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
