package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func get(t *testing.T, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var loaded = regexp.MustCompile(`(?:src|href)="(/[^"]+)"`)

// Every address of the dashboard is the one page, which nobody keeps; what it loads
// is kept for ever, for its name changes with it.
func TestPagesAndWhatTheyLoad(t *testing.T) {
	page := body(t, get(t, "/"))
	for _, path := range []string{"/jobs", "/jobs/7f3k9qd2", "/workers", "/workers/m2c8v0xk", "/queue", "/events"} {
		r := get(t, path)
		if got := body(t, r); r.StatusCode != http.StatusOK || !bytes.Equal(got, page) {
			t.Errorf("%s: %d, %q", path, r.StatusCode, got)
		}
		if got := r.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
		if got := r.Header.Get("Content-Security-Policy"); got != Policy {
			t.Errorf("%s: Content-Security-Policy is %q", path, got)
		}
	}
	links := loaded.FindAllSubmatch(page, -1)
	if len(links) < 3 {
		t.Fatalf("the page loads %d files: %s", len(links), page)
	}
	for _, link := range links {
		r := get(t, string(link[1]))
		if got := r.Header.Get("Cache-Control"); r.StatusCode != http.StatusOK || got != cached {
			t.Errorf("%s: %d, Cache-Control is %q", link[1], r.StatusCode, got)
		}
	}
	if r := get(t, "/assets/none.js"); r.StatusCode != http.StatusNotFound || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a file that is not there: %d, Cache-Control is %q", r.StatusCode, r.Header.Get("Cache-Control"))
	}
	if r := get(t, "/assets/../sources"); r.StatusCode != http.StatusNotFound {
		t.Errorf("a path out of the folder: %d", r.StatusCode)
	}
}

// Nothing on the page is inline: the policy would refuse it.
func TestNothingIsInline(t *testing.T) {
	page := body(t, get(t, "/"))
	if m := regexp.MustCompile(`<script(?:[^>]*)>[^<]|<style|\sstyle=|\son[a-z]+=|https?://`).Find(page); m != nil {
		t.Errorf("%q is in the page: %s", m, page)
	}
	if strings.Contains(Policy, "unsafe") || strings.Contains(Policy, "*") || strings.Contains(Policy, "http") {
		t.Errorf("the policy allows more than the server's own files: %s", Policy)
	}
}

func TestCompressed(t *testing.T) {
	for name, f := range load() {
		if f.kind == "" && name != "/sources" {
			t.Errorf("%s has no type", name)
		}
		r := get(t, name, "Accept-Encoding", "br, gzip;q=0.8")
		if f.small == nil || !strings.HasPrefix(name, "/assets/") {
			continue
		}
		if got := r.Header.Get("Content-Encoding"); got != "gzip" {
			t.Errorf("%s: Content-Encoding is %q", name, got)
			continue
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, f.plain) {
			t.Errorf("%s is another one compressed: %v", name, err)
		}
	}
	for header, want := range map[string]bool{"": false, "br": false, "gzip": true, "GZIP": true, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.0": false, "gzip; q=1": true, "gzip;q=x": false} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("Accept-Encoding: %s: %v, want %v", header, got, want)
		}
	}
}

func TestNotModified(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		etag := get(t, "/", "Accept-Encoding", encoding).Header.Get("ETag")
		r := get(t, "/jobs", "Accept-Encoding", encoding, "If-None-Match", etag)
		if r.StatusCode != http.StatusNotModified || len(body(t, r)) > 0 || r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%q, %q: %d, Content-Encoding is %q", encoding, etag, r.StatusCode, r.Header.Get("Content-Encoding"))
		}
	}
}

// firstPage is how many bytes the first page may need, before they are compressed.
const firstPage = 150_000

func TestFirstPageIsSmall(t *testing.T) {
	page := body(t, get(t, "/"))
	size := len(page)
	for _, link := range loaded.FindAllSubmatch(page, -1) {
		size += len(load()[string(link[1])].plain)
	}
	t.Logf("the first page needs %d bytes", size)
	if size > firstPage {
		t.Errorf("the first page needs %d bytes, at most %d may be", size, firstPage)
	}
}

// The built files are those of the sources: they carry a digest of them, which
// vite.config.ts computes in the same way. That the sources give just these files is
// checked by .ci/fresh-ui, which builds them.
func TestBuiltFilesAreFresh(t *testing.T) {
	var names []string
	err := fs.WalkDir(os.DirFS("web"), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (name == "node_modules" || name == "e2e"):
			return fs.SkipDir
		case !e.IsDir() && !strings.HasPrefix(name, ".") && name != "node_modules": // which may be a link
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	all := sha256.New()
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join("web", name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		fmt.Fprintf(all, "%s %s\n", name, hex.EncodeToString(sum[:]))
	}
	built, err := os.ReadFile("dist/sources")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(built)); got != hex.EncodeToString(all.Sum(nil)) {
		t.Error("the built files are not those of the sources: run task ui:build, and commit api/ui/dist")
	}
}

// text is what stands between tags: a capital, then words.
var text = regexp.MustCompile(`>\s*[A-Z][a-z]+(?: [a-z]+)*[.:]?\s*<`)

// All texts are in one file, for those who translate them.
func TestTextsAreInOneFile(t *testing.T) {
	files, err := filepath.Glob("web/src/*/*.tsx")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range append(files, "web/src/main.tsx") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range text.FindAll(b, -1) {
			t.Errorf("%s has a text of its own: %q", name, m)
		}
	}
}

// What is committed says nothing of where packages come from: that is set where it is built.
func TestLockNamesNoRegistry(t *testing.T) {
	b, err := os.ReadFile("web/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(`"resolved"`)) {
		t.Error("web/package-lock.json says where packages come from: web/.npmrc should keep that out")
	}
	if !bytes.Contains(b, []byte(`"integrity"`)) {
		t.Error("web/package-lock.json has no checksums")
	}
}

var named = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^`]")

// Each package that the dashboard is made of has a row in the page of dependencies,
// at a version of its own.
func TestEachPackageHasARow(t *testing.T) {
	b, err := os.ReadFile("web/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Dependencies, DevDependencies map[string]string }
	if err := json.Unmarshal(b, &manifest); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range named.FindAllSubmatch(page, -1) {
		rows[string(m[1])] = true
	}
	maps.Copy(manifest.DevDependencies, manifest.Dependencies)
	for name, version := range manifest.DevDependencies {
		if !rows[name] {
			t.Errorf("%s has no row in docs/dependencies.md", name)
		}
		if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(version) {
			t.Errorf("%s is at %s, which is not one version", name, version)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("%s has a row in docs/dependencies.md, and the dashboard is not made of it", name)
	}
}
