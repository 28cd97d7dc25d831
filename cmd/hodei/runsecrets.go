package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// applySecrets sets the secrets that the flags name. An error never shows what
// may be a value.
func (f *runFlags) applySecrets(built map[string]any) error {
	for _, text := range f.secret {
		name, value, given := strings.Cut(text, "=")
		if !given {
			value, given = os.LookupEnv(name)
		}
		switch {
		case name == "":
			return &exitError{code: exitUsage, err: errors.New("--secret has no name"), help: "write it as NAME=VALUE, or NAME alone"}
		case !given:
			return &exitError{code: exitUsage, err: fmt.Errorf("--secret %s has no value, and the variable %s is not set here", name, name),
				help: "export it first; a stored secret: --secret-from " + name + "=SECRET"}
		case !utf8.ValidString(value):
			return noTextIn("--secret " + name + ", taken from here,")
		}
		put(built, value, "secrets", name)
	}
	for _, text := range f.secretFrom {
		name, from, given := strings.Cut(text, "=")
		if !given || name == "" || from == "" {
			return &exitError{code: exitUsage, err: errors.New("--secret-from names no stored secret"), help: "write it as NAME=SECRET; those there are: hodei secret list"}
		}
		stored := map[string]any{}
		from, number, versioned := strings.Cut(from, ":")
		if versioned {
			version, err := strconv.ParseUint(number, 10, 32)
			if err != nil || version == 0 {
				return usage("--secret-from %s has no such version: a number from 1 stands after the colon", name)
			}
			stored["version"] = version
		}
		stored["from"] = from
		put(built, stored, "secrets", name)
	}
	return nil
}

// secretFlag is the flag that set the secret at a location of the spec, or "".
func (f *runFlags) secretFlag(location string) string {
	rest, ok := strings.CutPrefix(location, "secrets.")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, ".")
	for flag, given := range map[string][]string{"--secret ": f.secret, "--secret-from ": f.secretFrom} {
		for _, text := range given {
			if named, _, _ := strings.Cut(text, "="); named == name {
				return flag + name
			}
		}
	}
	return ""
}
