package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// defaultURL is where a server listens unless it was told otherwise.
const defaultURL = "http://127.0.0.1:8080"

// Files in the user's configuration folder. hodei dev writes the first two.
const (
	tokenName  = "token"       // the API token, 0600
	serverName = "server"      // the URL of the server it is for
	configName = "config.yaml" // server: URL, token_file: FILE, namespace: NAME
)

// configDir returns the user's configuration folder, such as ~/.config/hodei.
func configDir() (string, error) {
	if d := os.Getenv("HODEI_CONFIG_DIR"); d != "" {
		return d, nil
	}
	d, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the configuration folder: %w; set HODEI_CONFIG_DIR", err)
	}
	return filepath.Join(d, "hodei"), nil
}

type access struct{ url, token string }

// loadAccess finds server and token: flag, environment, configuration file, what
// hodei dev left, default, in this order.
func loadAccess(server, tokenFile string) (access, error) {
	dir, err := configDir()
	if err != nil {
		return access{}, usage("%v", err)
	}
	k, err := clientConfig(dir)
	if err != nil {
		return access{}, err
	}
	a := access{url: first(server, k.String("api_url"), k.String("server"), readLine(filepath.Join(dir, serverName)), defaultURL)}
	switch {
	case tokenFile != "":
		a.token = readLine(tokenFile)
		if a.token == "" {
			return access{}, usage("cannot read a token from %s", tokenFile)
		}
	default:
		a.token = first(k.String("api_token"), readLine(k.String("token_file")), readLine(filepath.Join(dir, tokenName)))
	}
	return a, nil
}

// clientConfig loads config.yaml and HODEI_… over it.
func clientConfig(dir string) (*koanf.Koanf, error) {
	k := koanf.New(".")
	path := filepath.Join(dir, configName)
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, usage("cannot read %s: %v", path, err)
	}
	err := k.Load(env.Provider(".", env.Opt{Prefix: "HODEI_", TransformFunc: func(key, value string) (string, any) {
		return strings.ToLower(strings.TrimPrefix(key, "HODEI_")), value
	}}), nil)
	return k, err
}

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
	if path == "" {
		return ""
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// keepSecret writes a file that only its owner can read, whole or not at all.
func keepSecret(path, content string) error {
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
