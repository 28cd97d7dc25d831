package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hodei-jobs/hodei/api/client"
	"github.com/hodei-jobs/hodei/api/wire"
)

// read asks the server for what path names. With -o json the API's body is the
// answer, unchanged; else show is called with what it says.
func read[T any](ctx context.Context, a *app, cl *client.Client, path string, v url.Values, show func(*T) error) error {
	value, raw, err := fetch[T](ctx, a, cl, path, v)
	switch {
	case err != nil:
		return err
	case a.programs():
		return a.emit(raw)
	}
	return show(value)
}

// fetch asks the server for what path names, as a value and as the API's body.
func fetch[T any](ctx context.Context, a *app, cl *client.Client, path string, v url.Values) (*T, json.RawMessage, error) {
	raw, err := cl.Raw(ctx, path, v)
	if err != nil {
		return nil, nil, a.newer(ctx, cl, path, err)
	}
	return decode[T](a, raw)
}

func decode[T any](a *app, raw json.RawMessage) (*T, json.RawMessage, error) {
	value := new(T)
	if err := json.Unmarshal(raw, value); err != nil {
		return nil, nil, a.notHodei("its answer is not JSON that this hodei knows")
	}
	return value, raw, nil
}

func (a *app) notHodei(why string) error {
	return &exitError{code: exitUnreachable, err: fmt.Errorf("what answers at %s%s is not hodei: %s", a.access.url, from(a.access.urlFrom), why), help: "name its address: --server URL"}
}

// newer finds out whether a 404 is about the route and not about what was asked
// for: then the server is older than this program, or is no hodei at all.
func (a *app) newer(ctx context.Context, cl *client.Client, path string, err error) error {
	var p *wire.Problem
	if !errors.As(err, &p) || p.Status != http.StatusNotFound || p.Kind == "not_found" && !strings.HasPrefix(p.Detail, "there is nothing at ") {
		return err
	}
	var about struct {
		Info struct{ Title, Version string }
	}
	raw, aerr := cl.Raw(ctx, "/openapi.json", nil)
	if aerr != nil || json.Unmarshal(raw, &about) != nil || about.Info.Version == "" {
		return a.notHodei("there is nothing at " + path)
	}
	return &exitError{code: exitVersion, err: fmt.Errorf("cannot run %s: server %s at %s does not have %s, this hodei is %s", strings.TrimPrefix(a.command.CommandPath(), "hodei "), about.Info.Version, a.access.url, path, version),
		help: "all else works; update the server to " + version + " or later"}
}
