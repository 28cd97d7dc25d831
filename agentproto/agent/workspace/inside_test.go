package workspace

import (
	"context"
	"os"
	"testing"
)

func TestARemovalStopsWithItsAgent(t *testing.T) {
	p, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder, err := p.Take()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder.Path+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.remove(ctx, folder.name); err != nil {
		t.Errorf("it complains: %v", err)
	}
	if _, err := os.Stat(folder.Path + "/file"); err != nil {
		t.Error("it went on")
	}
}

func TestMountsAreToldApartOnOldKernelsToo(t *testing.T) {
	seen := map[uint64]bool{}
	for _, path := range []string{"/", "/proc"} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		mount, err := mountOf(descriptor(f))
		old, errOld := mountByInfo(descriptor(f))
		if err != nil || errOld != nil || mount != old || seen[mount] {
			t.Errorf("%s: %d and %d, %v, %v", path, mount, old, err, errOld)
		}
		seen[mount] = true
	}
}
