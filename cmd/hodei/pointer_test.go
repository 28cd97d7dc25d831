package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// leaves is a hodei dev for tests: it listens until the test ends, and has a token
// beside its data.
func leaves(t *testing.T, name string) (pointer, net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return pointer{"http://" + l.Addr().String(), write(t, name+".token", "hodei_"+name+"\n")}, l
}

// points checks what a folder points at, and whose token is in it.
func points(t *testing.T, step, dir string, want pointer, token string) {
	t.Helper()
	if got := readPointer(dir); got != want {
		t.Errorf("%s: it points at %v, want %v", step, got, want)
	}
	if got := readLine(filepath.Join(dir, tokenName)); got != token {
		t.Errorf("%s: the token is %q, want %q", step, got, token)
	}
}

func (p pointer) mustSet(t *testing.T, dir string) (was pointer, kept string) {
	t.Helper()
	was, kept, err := p.set(dir)
	if err != nil {
		t.Fatal(err)
	}
	return was, kept
}

// The hodei dev started last is the one that is found. Each takes away only itself,
// whichever ends first, and what was before it comes back.
func TestPointerOfSeveral(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hodei")
	one, _ := leaves(t, "one")
	two, _ := leaves(t, "two")
	three, _ := leaves(t, "three")
	for _, row := range []struct{ set, was pointer }{{one, pointer{}}, {two, one}, {three, two}, {three, two}} {
		if was, kept := row.set.mustSet(t, dir); was != row.was || kept != "" {
			t.Errorf("before %v it was %v, and a token was moved to %q; want %v and none", row.set, was, kept, row.was)
		}
	}
	points(t, "all run", dir, three, "hodei_three")
	two.clear(dir)
	points(t, "the second has ended", dir, three, "hodei_three")
	three.clear(dir)
	points(t, "the third has ended", dir, one, "hodei_one")
	one.clear(dir)
	points(t, "all have ended", dir, pointer{"", one.tokenFile}, "hodei_one")
	two.mustSet(t, dir)
	points(t, "the second has come again", dir, two, "hodei_two")
	for name, mode := range map[string]os.FileMode{".": 0o700, tokenName: 0o600, serverName: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v; %v", name, info.Mode(), mode, err)
		}
	}
}

// One that was killed is not pointed at again, nor told of.
func TestPointerOfOneThatWasKilled(t *testing.T) {
	dir := t.TempDir()
	one, _ := leaves(t, "one")
	two, killed := leaves(t, "two")
	three, _ := leaves(t, "three")
	one.mustSet(t, dir)
	two.mustSet(t, dir)
	_ = killed.Close()
	if was, _ := three.mustSet(t, dir); was != one {
		t.Errorf("it was %v, want the one that runs, %v", was, one)
	}
	three.clear(dir)
	points(t, "after the third", dir, one, "hodei_one")
}

// A token that somebody put into the folder is moved, not lost, and one that was
// put there while a server ran stays when it ends.
func TestPointerKeepsForeignTokens(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, tokenName)
	put := func(token string) {
		t.Helper()
		if err := keep(path, token); err != nil {
			t.Fatal(err)
		}
	}
	one, _ := leaves(t, "one")
	two, _ := leaves(t, "two")
	put("hodei_team")
	if _, kept := one.mustSet(t, dir); kept != path+".before" || readLine(kept) != "hodei_team" {
		t.Errorf("the token that was there is in %q: %q", kept, readLine(kept))
	}
	two.mustSet(t, dir)
	put("hodei_other")
	two.clear(dir)
	points(t, "the second has ended", dir, one, "hodei_other")
}

// A folder that can't be written is told of, with what helps.
func TestPointerWithoutAFolder(t *testing.T) {
	one, _ := leaves(t, "one")
	_, _, err := one.set(filepath.Join(one.tokenFile, "hodei"))
	e := (&app{}).explain(err)
	if e.code != exitRefused || !strings.HasPrefix(e.Error(), "cannot keep the server's address and token in ") || e.help == "" {
		t.Errorf("code %d, said %q, help %q", e.code, e.Error(), e.help)
	}
}
