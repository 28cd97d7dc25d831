package people

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hodei-jobs/hodei/aggregates/spec"
	"github.com/hodei-jobs/hodei/aggregates/token"
)

// MaxRules is how many rules there may be.
const MaxRules = 1000

// Who a rule is about.
const (
	byGroup  = "group"
	byEmail  = "email"
	byDomain = "domain"
	byAll    = "*"
)

// Rule says what the people that it is about may do.
type Rule struct {
	who, value string
	Role       token.Role
	Namespace  string // token.AllNamespaces is all
}

// RulesHelp says how rules are written.
const RulesHelp = "WHO=ROLE[@NAMESPACE]; …    WHO is group:NAME, email:ADDRESS, domain:HOST, or * for all who can sign in"

// ParseRules reads rules, which semicolons part. Each has who it is about, a role,
// and the namespace it is for, or none for all: group:admins=admin;
// domain:example.com=viewer@web.
func ParseRules(text string) (rules []Rule, err error) {
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if len(rules) == MaxRules {
			return nil, fmt.Errorf("there are more than %d rules", MaxRules)
		}
		r, err := parseRule(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("there is no rule, so nobody could sign in")
	}
	return rules, nil
}

func parseRule(text string) (r Rule, err error) {
	i := strings.LastIndexByte(text, '=') // names of groups may have others
	if i < 0 {
		return r, fmt.Errorf("it has no =ROLE")
	}
	who := strings.TrimSpace(text[:i])
	role, namespace, one := strings.Cut(strings.TrimSpace(text[i+1:]), "@")
	var ok bool
	if r.Role, ok = token.ParseRole(role); !ok {
		return r, fmt.Errorf("%q is not a role: viewer, submitter, operator, admin may be", role)
	}
	r.Namespace = token.AllNamespaces
	if one {
		if err := spec.ValidNamespace(namespace); err != nil {
			return r, err
		}
		r.Namespace = namespace
	}
	if who == byAll {
		r.who = byAll
		return r, nil
	}
	r.who, r.value, ok = strings.Cut(who, ":")
	if !ok || r.value == "" || !slices.Contains([]string{byGroup, byEmail, byDomain}, r.who) {
		return r, fmt.Errorf("%q is nobody: group:NAME, email:ADDRESS, domain:HOST or * may be", who)
	}
	if r.who != byGroup {
		r.value = strings.ToLower(r.value)
	}
	return r, nil
}

// claims are what a provider says of somebody.
type claims struct {
	Subject  string `json:"sub"`
	Nonce    string `json:"nonce"`
	Email    string `json:"email"`
	Verified flag   `json:"email_verified"`
	Groups   list   `json:"groups"`
}

// applies says whether a rule is about somebody. An address counts only if the
// provider has verified it: else anybody could claim it.
func (r Rule) applies(c *claims) bool {
	email := strings.ToLower(c.Email)
	_, domain, ok := cutLast(email, '@')
	switch r.who {
	case byAll:
		return true
	case byGroup:
		return slices.Contains(c.Groups, r.value)
	case byEmail:
		return bool(c.Verified) && email == r.value
	case byDomain:
		return bool(c.Verified) && ok && domain == r.value
	}
	return false
}

func cutLast(text string, at byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(text, at)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// flag is a boolean that some providers write as a string.
type flag bool

// UnmarshalJSON takes true and "true" for true, and all else for false.
func (f *flag) UnmarshalJSON(b []byte) error {
	*f = string(b) == "true" || string(b) == `"true"`
	return nil
}

// list is a list of strings that some providers write as one string. One that is
// there and empty is not nil.
type list []string

// UnmarshalJSON takes a string, a list of strings, and nothing else for a list.
func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	var many []string
	switch {
	case json.Unmarshal(b, &many) == nil && many != nil:
		*l = many
	case json.Unmarshal(b, &one) == nil && one != "":
		*l = list{one}
	}
	return nil
}
