package procfs

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 42 7 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 5555 1000000 3 18446744073709551615"
	page := uint64(os.Getpagesize())
	want := Stat{Pid: 9, Parent: 1, Group: 42, State: 'S', Ticks: 33, ChildTicks: 77, Start: 5555, RSSBytes: 3 * page}
	for _, row := range []struct {
		name, line string
		ok         bool
	}{
		{"a plain name", "9 (sh)" + rest, true},
		{"a name with a parenthesis and spaces, which a process may choose", "9 (a) R 1 (b))" + rest, true},
		{"a name with a line end", "9 (a\nb)" + rest, true},
		{"no name", "9 sh" + rest, false},
		{"cut short", "9 (sh) S 1 42", false},
		{"nothing", "", false},
	} {
		got, err := parseStat(9, []byte(row.line))
		if (err == nil) != row.ok || row.ok && got != want {
			t.Errorf("%s: %+v, %v", row.name, got, err)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("9 (sh) S 1 42 7 0 -1 4194560 100 200 0 0 11 22 33 44 20 0 1 0 5555 1000000 3 1"))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = parseStat(1, data) })
}

func TestThisProcess(t *testing.T) {
	self := os.Getpid()
	stat, err := ReadStat(self)
	if err != nil || stat.Parent != os.Getppid() || stat.RSSBytes == 0 || stat.Start == 0 {
		t.Errorf("%+v, %v", stat, err)
	}
	cmd := exec.Command("cat")
	in, _ := cmd.StdinPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		cmd.Wait()
	}()
	children, err := Children(self)
	if err != nil || !slices.Contains(children, cmd.Process.Pid) {
		t.Errorf("children %v, %v; want %d", children, err, cmd.Process.Pid)
	}
	if byParent, err := childrenByParent(self); err != nil || !slices.Contains(byParent, cmd.Process.Pid) {
		t.Errorf("found by their parent: %v, %v; want %d", byParent, err, cmd.Process.Pid)
	}
	if _, err := ReadStat(1 << 30); err == nil {
		t.Error("a process that can't be has a stat")
	}
}

func TestReadTakesFilesOfAnySize(t *testing.T) {
	for _, size := range []int{0, 1, firstRead - 1, firstRead, firstRead + 1, 10*firstRead + 7} {
		path := t.TempDir() + "/file"
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if data, err := Read(path); err != nil || len(data) != size {
			t.Errorf("%d bytes of %d, %v", len(data), size, err)
		}
	}
}
func TestTraffic(t *testing.T) {
	const titles = "Inter-|   Receive                                                |  Transmit\n" +
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
	for _, row := range []struct {
		name, lines    string
		received, sent uint64
		ok             bool
	}{
		{"only the loopback, which is no network", "    lo: 500 5 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n", 0, 0, true},
		{"two interfaces, one with a long name", "    lo: 500 5 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n  eth0: 1000 5 0 0 0 0 0 0 20 5 0 0 0 0 0 0\nenp0s31f6.100:7 5 0 0 0 0 0 0 3 5 0 0 0 0 0 0\n", 1007, 23, true},
		{"none", "", 0, 0, true},
		{"cut short", "  eth0: 1000 5\n", 0, 0, false},
		{"no number", "  eth0: x 5 0 0 0 0 0 0 20 5 0 0 0 0 0 0\n", 0, 0, false},
	} {
		received, sent, err := parseTraffic([]byte(titles + row.lines))
		if received != row.received || sent != row.sent || (err == nil) != row.ok {
			t.Errorf("%s: %d, %d, %v", row.name, received, sent, err)
		}
	}
}
