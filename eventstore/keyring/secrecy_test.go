package keyring

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/eventstore/durable"
)

// Files and what is left of half-written ones are the owner's alone, and nothing
// half-written stays.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	ring, key := paths(dir)
	for _, path := range []string{ring, key, key + nextSuffix} {
		if err := os.WriteFile(path+durable.Temporary, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, dir)
	if err := f.Rotate(context.Background()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 { // keyring, key, lock
		t.Errorf("the folder has %v, %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	ctx := context.Background()
	f := open(t, t.TempDir())
	k := createKey(t, f, "job-1")
	if err := f.PutBlob(ctx, "a", []byte("secret blob")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%s", "%+v", "%#v", "%d", "%x", "%X", "%q"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", k, []any{k, map[string]DataKey{"k": k}})
	}
	for _, verb := range []string{"%v", "%s", "%+v", "%#v"} {
		fmt.Fprintf(&out, verb+"\n", f)
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("key", "key", k, "pointer", &k, "ring", f)
	}
	for _, secret := range []string{fmt.Sprint(k[:8]), fmt.Sprintf("%x", k[:8]), fmt.Sprintf("%X", k[:8]), string(k[:8]), fmt.Sprintf("%d,%d,%d", k[0], k[1], k[2]), "secret blob"} {
		if strings.Contains(out.String(), strings.Trim(secret, "[]")) {
			t.Errorf("%q is printed:\n%s", secret, out.String())
		}
	}
}
