package spec

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Limits of secrets.
const (
	MaxSecrets     = 64       // of a job
	MaxSecretValue = 32 << 10 // bytes of a value, of a job's own secret and of a stored one
	MaxSecretName  = 56       // bytes of a stored secret's name; with its namespace it names a stream
)

// Secret is a variable of a job's environment whose value must not be seen: one
// of the job's own, or a stored secret of its namespace. What is kept of the
// first is sealed.
type Secret struct {
	// Value is the job's own, in the clear. It is there from reading the spec until
	// it is sealed, and written nowhere.
	Value Plain `json:"-"`

	Key    string `json:"key,omitempty"` // data key that Sealed is sealed with
	Sealed []byte `json:"sealed,omitempty"`

	From    string `json:"from,omitempty"`    // name of a stored secret
	Version uint32 `json:"version,omitempty"` // of it; 0 is the newest at the time it is needed
}

// Own reports whether the secret is the job's own.
func (s Secret) Own() bool { return s.From == "" }

// Plain is a text that must not be seen. However it is printed or encoded, nothing
// of it shows.
type Plain string

const hidden = "***"

// Format hides the text from every verb of package fmt.
func (Plain) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// MarshalText hides the text from encoders.
func (Plain) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// OwnSecrets returns the names of the secrets that are the job's own, sorted.
func (s Spec) OwnSecrets() (names []string) {
	for name, secret := range s.Secrets {
		if secret.Own() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Shown returns a canonical form as it may be shown to people: of a secret that
// is the job's own it only says {"sealed":true}.
func Shown(canonical []byte) []byte {
	if !bytes.Contains(canonical, []byte(`"secrets":{`)) {
		return canonical
	}
	type shown struct {
		Sealed  bool   `json:"sealed,omitempty"`
		From    string `json:"from,omitempty"`
		Version uint32 `json:"version,omitempty"`
	}
	var s struct {
		Spec
		Secrets map[string]shown `json:"secrets,omitempty"` // in place of the spec's
	}
	var err error
	if s.Spec, err = FromCanonical(canonical); err != nil {
		return []byte("{}")
	}
	s.Secrets = make(map[string]shown, len(s.Spec.Secrets))
	for name, secret := range s.Spec.Secrets {
		s.Secrets[name] = shown{secret.Own(), secret.From, secret.Version}
	}
	return encode(s)
}

// secretHelp says what a secret can be. What is wrong with one is told without
// what was given, which may be the value.
const secretHelp = `a secret is its value in quotes, or {"from": the name of a stored secret}`

func (d *decoder) secrets(to *map[string]Secret) read {
	return func(at string, v value) {
		if v.sort != object {
			d.wrong(at, secretHelp, "it is not an object")
			return
		}
		m := make(map[string]Secret, len(v.members))
		for _, p := range v.members {
			m[p.key] = d.secret(below(at, p.key), p.value)
		}
		if len(m) > 0 {
			*to = m
		}
	}
}

func (d *decoder) secret(at string, v value) (s Secret) {
	switch v.sort {
	case str:
		s.Value = Plain(v.text)
		if v.text == "" {
			d.wrong(at, "", "it is empty")
		}
		return s
	case object:
		return d.stored(at, v)
	}
	d.wrong(at, secretHelp, "it is neither a string nor an object")
	return s
}

// stored reads the reference to a stored secret.
func (d *decoder) stored(at string, v value) (s Secret) {
	needed := true
	for _, m := range v.members {
		place := below(at, m.key)
		switch m.key {
		case "from":
			needed = false
			if s.From = m.value.text; m.value.sort != str || s.From == "" {
				d.wrong(place, "", "it is not the name of a stored secret")
			}
		case "version":
			n, err := strconv.ParseUint(m.value.text, 10, 32)
			if s.Version = uint32(n); m.value.sort != number || err != nil || n == 0 {
				d.wrong(place, "leave it out for the newest", "it is not a version: a number from 1")
			}
		default:
			d.wrong(at, secretHelp, "it has an unknown field; from and version may be")
		}
	}
	if needed {
		d.wrong(at+".from", "", "it is needed: the name of a stored secret")
	}
	return s
}

func (c *checker) secrets(s Spec) {
	if len(s.Secrets) > MaxSecrets {
		c.wrong("secrets", "", "there are %d secrets, at most %d may be", len(s.Secrets), MaxSecrets)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		at, secret := below("secrets", name), s.Secrets[name]
		c.add(at, validVariable(name))
		if where := s.inEnv(name); where != "" {
			c.wrong(at, "", "it is also in %s; a variable is set by one of them", where)
		}
		switch {
		case secret.From != "":
			c.add(at+".from", ValidSecretName(secret.From))
		case secret.Sealed == nil:
			c.add(at, ValidSecretValue([]byte(secret.Value)))
		}
	}
}

// inEnv returns where the environment has a variable, or "".
func (s Spec) inEnv(name string) string {
	if _, ok := s.Env[name]; ok {
		return "env"
	}
	for i, step := range s.Steps {
		if _, ok := step.Env[name]; ok {
			return index("steps", i) + ".env"
		}
	}
	return ""
}

// ValidSecretName returns why a text can't name a stored secret, or nil: 1 to
// MaxSecretName characters a-z, A-Z, 0-9, _, - and ., a letter, digit or _ first.
// The error does not show the text, which may be a value in the wrong place.
func ValidSecretName(s string) error {
	if s == "" || len(s) > MaxSecretName {
		return fmt.Errorf("the name of a stored secret has 1 to %d characters, this has %d", MaxSecretName, len(s))
	}
	for i := range len(s) {
		if !alphanumeric(rune(s[i])) && s[i] != '_' && (i == 0 || s[i] != '-' && s[i] != '.') {
			return fmt.Errorf("the name of a stored secret has letters, digits, _, - and ., a letter, digit or _ first")
		}
	}
	return nil
}

// ValidSecretValue returns why bytes can't be a secret's value, or nil: 1 to
// MaxSecretValue bytes, none of them NUL, which no environment can hold. The
// error does not show them.
func ValidSecretValue(value []byte) error {
	switch {
	case len(value) == 0:
		return fmt.Errorf("it is empty")
	case len(value) > MaxSecretValue:
		return fmt.Errorf("it has %d bytes, at most %d may be", len(value), MaxSecretValue)
	case bytes.IndexByte(value, 0) >= 0:
		return fmt.Errorf("it has a NUL byte, which no program can be given")
	}
	return nil
}
