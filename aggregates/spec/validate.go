package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hodei-jobs/hodei/aggregates/fault"
	"github.com/hodei-jobs/hodei/aggregates/resource"
)

// Validate returns nil if the spec may be submitted; else a *fault.Error of kind
// Invalid that says everything that is wrong.
func (s Spec) Validate() error {
	_, err := s.Accept()
	return err
}

// Accept returns the canonical form of a spec that may be submitted; else the error
// that Validate returns.
func (s Spec) Accept() (canonical []byte, err error) {
	d := decoder{fields: s.check()}
	if d.fields == nil {
		canonical = s.Canonical()
		d.checkSize(len(canonical))
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return canonical, nil
}

func (d *decoder) checkSize(n int) {
	if n > MaxSpecBytes {
		d.wrong("", "", "it has %d bytes, at most %d may be", n, MaxSpecBytes)
	}
}

// check returns what is wrong, in the order of the fields.
func (s Spec) check() []fault.Field {
	c := checker{}
	c.name("name", s.Name)
	c.add("namespace", optional(s.Namespace, ValidNamespace))
	c.add("pool", optional(s.Pool, ValidNamespace))
	c.work(s)
	c.words("shell", s.Shell)
	c.env("env", s.Env)
	c.secrets(s)
	c.labels("labels", s.Labels)
	c.labels("requires", s.Requires)
	c.resources(s.Resources)
	if s.Priority < -MaxPriority || s.Priority > MaxPriority {
		c.wrong("priority", "", "%d is not a priority: %d to %d may be", s.Priority, -MaxPriority, MaxPriority)
	}
	c.duration("timeout", s.Timeout, MaxTimeout)
	c.retries(s.Retries)
	c.cancel(s.Cancel)
	c.logLimit(s.LogLimit)
	return c.fields
}

type checker struct{ decoder }

func (c *checker) add(at string, err error) {
	if err != nil {
		c.wrong(at, "", "%s", err)
	}
}

// work checks what is to be executed.
func (c *checker) work(s Spec) {
	var given []string
	if s.Command != "" {
		given = append(given, "command")
	}
	if len(s.Steps) > 0 {
		given = append(given, "steps")
	}
	if len(s.Argv) > 0 {
		given = append(given, "argv")
	}
	switch {
	case given == nil:
		c.wrong("", "", "one of command, steps and argv is needed")
	case len(given) > 1:
		for i, name := range given {
			others := slices.Delete(slices.Clone(given), i, i+1)
			c.wrong(name, "", "it is given beside %s, only one may be", strings.Join(others, " and "))
		}
	}
	c.script("command", s.Command)
	c.steps(s.Steps)
	c.argv(s.Argv)
}

func (c *checker) steps(steps []Step) {
	if len(steps) > MaxSteps {
		c.wrong("steps", "", "there are %d steps, at most %d may be", len(steps), MaxSteps)
		return
	}
	for i, s := range steps {
		at := index("steps", i)
		c.name(at+".name", s.Name)
		if strings.TrimSpace(s.Run) == "" {
			c.wrong(at+".run", "", "it is needed")
		}
		c.script(at+".run", s.Run)
		c.env(at+".env", s.Env)
		c.duration(at+".timeout", s.Timeout, MaxTimeout)
	}
}

func (c *checker) argv(argv []string) {
	if len(argv) > MaxArgv {
		c.wrong("argv", "", "there are %d arguments, at most %d may be", len(argv), MaxArgv)
		return
	}
	for i, a := range argv {
		c.argument(index("argv", i), a)
	}
	if len(argv) > 0 && argv[0] == "" {
		c.wrong("argv[0]", "", "it is empty: it names the program")
	}
}

func (c *checker) script(at, s string) {
	c.argument(at, s)
	if s != "" && at == "command" && strings.TrimSpace(s) == "" {
		c.wrong(at, "", "it is blank")
	}
}

// argument checks what is passed to exec.
func (c *checker) argument(at, s string) {
	if len(s) > MaxArg {
		c.wrong(at, "", "it has %d bytes, at most %d may be", len(s), MaxArg)
	}
	c.add(at, passable(s))
}

// words checks the shell.
func (c *checker) words(at, s string) {
	c.argument(at, s)
	if s != "" && len(strings.Fields(s)) == 0 {
		c.wrong(at, "", "it is blank")
	}
}

// name checks a text that names something for people.
func (c *checker) name(at, s string) {
	switch {
	case s == "":
	case len(s) > MaxName:
		c.wrong(at, "", "it has %d bytes, at most %d may be", len(s), MaxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		c.wrong(at, "", "%s is not printable", quote(s))
	case strings.TrimSpace(s) != s:
		c.wrong(at, "", "%s begins or ends with a blank", quote(s))
	}
}

func (c *checker) env(at string, env map[string]string) {
	if len(env) > MaxEnv {
		c.wrong(at, "", "there are %d variables, at most %d may be", len(env), MaxEnv)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		place := below(at, k)
		c.add(place, validVariable(k))
		c.add(place, passable(env[k]))
		if n := len(k) + 1 + len(env[k]); n > MaxArg {
			c.wrong(place, "", "name and value have %d bytes, at most %d may be", n, MaxArg)
		}
	}
}

func (c *checker) labels(at string, l resource.Labels) {
	if len(l) > resource.MaxLabels {
		c.wrong(at, "", "there are %d labels, at most %d may be", len(l), resource.MaxLabels)
		return
	}
	for _, p := range l {
		c.add(below(at, p.Key), resource.ValidLabel(p.Key, p.Value))
	}
	if c.fields == nil {
		c.add(at, l.Valid())
	}
}

func (c *checker) duration(at string, d, most Duration) {
	switch {
	case d < 0:
		c.wrong(at, DurationHelp, "it is less than 0")
	case d > most:
		c.wrong(at, "", "%s is too long: at most %s may be", d, most)
	}
}

func (c *checker) retries(r Retries) {
	if r.Max > MaxRetries {
		c.wrong("retries.max", "", "%d is too many: at most %d may be", r.Max, MaxRetries)
	}
	for i, cause := range r.On {
		at := index("retries.on", i)
		switch {
		case !slices.Contains(Causes, cause):
			c.wrong(at, "", "%s", oneOf(cause, "a cause", Causes))
		case slices.Contains(r.On[:i], cause):
			c.wrong(at, "", "%s is given twice", cause)
		}
	}
	c.duration("retries.backoff", r.Backoff, MaxBackoff)
}

func (c *checker) cancel(a Cancel) {
	if a.Signal != "" && !slices.Contains(Signals, a.Signal) {
		c.wrong("cancel.signal", "", "%s", oneOf(a.Signal, "a signal", Signals))
	}
	c.duration("cancel.grace", a.Grace, MaxGrace)
}

func (c *checker) logLimit(n resource.Bytes) {
	if n != 0 && n < MinLogLimit {
		c.wrong("log_limit", "", "%s is too little: at least %s must be", n, MinLogLimit)
	}
	if n > MaxLogLimit {
		c.wrong("log_limit", "", "%s is too much: at most %s may be", n, MaxLogLimit)
	}
}

func (c *checker) resources(a resource.Amount) {
	if a.CPU > resource.MaxCPU {
		c.wrong("resources.cpu", "", "%s is too much: at most %s may be", a.CPU, resource.MaxCPU)
	}
	if a.Memory > resource.MaxBytes {
		c.wrong("resources.memory", "", "%s is too much: at most %s may be", a.Memory, resource.MaxBytes)
	}
	if a.Disk > resource.MaxBytes {
		c.wrong("resources.disk", "", "%s is too much: at most %s may be", a.Disk, resource.MaxBytes)
	}
}

// oneOf says that a word is not one of those that may be.
func oneOf(word, what string, known []string) string {
	plain := strings.TrimPrefix(strings.ToUpper(word), "SIG")
	meant := nearest(word, known)
	if slices.Contains(known, plain) {
		meant = plain
	}
	if meant != "" {
		return fmt.Sprintf("%s is not %s, did you mean %q?", quote(word), what, meant)
	}
	return fmt.Sprintf("%s is not %s: %s may be", quote(word), what, strings.Join(known, ", "))
}

// passable returns why a text can't be passed to a program, or nil.
func passable(s string) error {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("it has a NUL byte, which no program can be given")
	case !utf8.ValidString(s):
		return fmt.Errorf("it is not UTF-8")
	}
	return nil
}

// validVariable returns why an environment variable can't be set, or nil.
func validVariable(key string) error {
	switch {
	case key == "" || len(key) > MaxEnvKey:
		return fmt.Errorf("the name of a variable has 1 to %d characters", MaxEnvKey)
	case strings.HasPrefix(key, "HODEI_"):
		return fmt.Errorf("HODEI_… is set by Hodei itself")
	case strings.HasPrefix(key, "LD_"):
		return fmt.Errorf("LD_… may not be set: it changes what the agent's own programs load")
	}
	for i := range len(key) {
		c := key[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return fmt.Errorf("%s is not a variable's name: letters, digits and _ may be", quote(key))
		}
	}
	return nil
}

func optional(s string, valid func(string) error) error {
	if s == "" {
		return nil
	}
	return valid(s)
}

// ValidNamespace returns why a text can't name a namespace or a pool, or nil: 1
// to 63 characters a-z, 0-9 and -, a letter or digit first and last.
func ValidNamespace(s string) error {
	if s == "" || len(s) > MaxNamespace {
		return fmt.Errorf("%s has %d characters, 1 to %d may be", quote(s), len(s), MaxNamespace)
	}
	for i := range len(s) {
		c := s[i]
		inner := c == '-' && i > 0 && i < len(s)-1
		if !inner && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return fmt.Errorf("%s: a-z, 0-9 and - may be, a letter or digit first and last", quote(s))
		}
	}
	return nil
}
