package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hodei-jobs/hodei/api/people"
)

// callbackPath is where the provider sends browsers back to.
const callbackPath = "/login/oidc/callback"

// checkPeople checks how people sign in.
func (c *serverConfig) checkPeople() (err error) {
	if c.Public != "" {
		if u, err := url.Parse(c.Public); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return usage("%s is %q; it must be a URL without a path, such as https://hodei.example.com", c.from["public_url"], c.Public)
		}
	}
	if c.Issuer == "" {
		for _, name := range []string{"oidc_client_id", "oidc_client_secret_file", "oidc_roles"} {
			if map[string]string{"oidc_client_id": c.Client, "oidc_client_secret_file": c.SecretFile, "oidc_roles": c.Roles}[name] != "" {
				return usage("%s is set, and nothing says at which provider people sign in: --oidc-issuer", c.from[name])
			}
		}
		return nil
	}
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost" && !loopback(u.Hostname()+":0")):
		return usage("%s is %q; it must be the https URL of an OpenID provider", c.from["oidc_issuer"], c.Issuer)
	case c.Client == "":
		return usage("%s is set, and --oidc-client-id is not: the provider gives one", c.from["oidc_issuer"])
	case c.Roles == "":
		return &exitError{code: exitUsage, err: errors.New(c.from["oidc_issuer"] + " is set, and --oidc-roles is not: nobody could sign in"), help: "--oidc-roles '" + people.RulesHelp + "'"}
	}
	if c.rules, err = people.ParseRules(c.Roles); err != nil {
		return &exitError{code: exitUsage, err: errors.New(c.from["oidc_roles"] + ": " + err.Error()), help: people.RulesHelp}
	}
	return nil
}

// namesFile is where it is kept what people are called: beside the log, from which
// nothing can be erased.
func (p *parts) namesFile() string { return filepath.Join(p.config.Data, "people") }

// openPeople makes it possible to sign in, if that is configured.
func (p *parts) openPeople(ctx context.Context) error {
	p.names = people.NewNames()
	b, err := os.ReadFile(p.namesFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &exitError{code: exitRefused, err: errors.New("cannot read what people are called: " + reason(err)), help: "it is in " + p.namesFile()}
	}
	p.names.Decode(b)
	if p.config.Issuer == "" {
		return nil
	}
	secret := ""
	if p.config.SecretFile != "" {
		if secret = readLine(p.config.SecretFile); secret == "" {
			return usage("%s: %s has no secret in its first line", p.config.from["oidc_client_secret_file"], p.config.SecretFile)
		}
	}
	key, err := p.peopleKey(ctx)
	if err != nil {
		return err
	}
	public := first(strings.TrimRight(p.config.Public, "/"), "http://"+p.http.Addr().String())
	p.people = people.New(people.Config{Issuer: p.config.Issuer, ClientID: p.config.Client, ClientSecret: secret,
		RedirectURL: public + callbackPath, Rules: p.config.rules, Key: key, Clock: p.store.Now})
	return nil
}

// peopleKey is what hides in the log who people are, made at the first start.
func (p *parts) peopleKey(ctx context.Context) ([]byte, error) {
	const name, size = "people", 32
	key, ok, err := p.keys.GetBlob(ctx, name)
	if err != nil || ok {
		return key, err
	}
	key = make([]byte, size)
	_, _ = rand.Read(key) // never fails
	return key, p.keys.PutBlob(ctx, name, key)
}

// keepNames writes down what people are called.
func (p *parts) keepNames() error {
	return keep(p.namesFile(), strings.TrimSuffix(string(p.names.Encode()), "\n"))
}
