package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// webDir holds the dashboard's sources and its tests in a browser.
const webDir = "../../api/ui/web"

// dashboardLimit is how long all tests in a browser may take on a loaded machine.
const dashboardLimit = 8 * time.Minute

// browserThere returns the browser, or skips the test on a machine that lacks it or
// what drives it.
func browserThere(t *testing.T) string {
	t.Helper()
	requires(t, "node", "chromium")
	if _, err := os.Stat(filepath.Join(webDir, "node_modules", "playwright-core")); err != nil {
		if os.Getenv("HODEI_REQUIRE_ALL") == "" {
			t.Skip("what drives the browser is not installed: task ui:modules")
		}
		t.Fatal("what drives the browser is not installed: task ui:modules")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var loginLink = regexp.MustCompile(`http://\S+/login\?once=\S+`)

// said is a line of the tests in the browser: a result, or a wish.
type said struct {
	Test, Error, Note, Please string
	MS                        int
}

// The dashboard in a real browser: every page in light and dark, changes as they
// come, hostile output, ten thousand jobs, a killed server. The tests themselves are
// in api/ui/web/e2e; -update writes the pictures of the documentation anew.
func TestDashboard(t *testing.T) {
	chromium := browserThere(t)
	c := startCluster(t)
	token, err := os.ReadFile(filepath.Join(c.dir, "data.token"))
	if err != nil {
		t.Fatal(err)
	}
	link := loginLink.FindString(c.serverLog())
	if link == "" {
		t.Fatalf("no link to sign in was printed\n%s", c.serverLog())
	}
	cmd := exec.Command("node", filepath.Join(webDir, "e2e", "main.mjs"))
	cmd.Env = append(c.env(), "HODEI_URL=http://"+c.http, "HODEI_TOKEN="+strings.TrimSpace(string(token)), "HODEI_LOGIN="+link, "HODEI_CHROMIUM="+chromium)
	if *update {
		shots, err := filepath.Abs("../../docs/screenshots")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "HODEI_SCREENSHOTS="+shots)
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watch := time.AfterFunc(dashboardLimit, func() { _ = cmd.Process.Kill() })
	defer watch.Stop()
	ran := c.heed(out, in)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the tests in the browser ended early: %v", err)
	}
	if ran == 0 {
		t.Error("no test ran in the browser")
	}
}

// heed reports the results of the tests in the browser as subtests, and does what
// they ask for. It returns how many ran.
func (c *cluster) heed(out io.Reader, in io.Writer) (ran int) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var s said
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			c.t.Logf("%s", lines.Text())
			continue
		}
		switch s.Please {
		case "kill":
			c.kill()
		case "start":
			c.start()
		default:
			ran++
			c.t.Run(s.Test, func(t *testing.T) {
				t.Logf("%d ms; %s", s.MS, s.Note)
				if s.Error != "" {
					t.Error(s.Error)
				}
			})
			continue
		}
		fmt.Fprintln(in, "done")
	}
	return ran
}
