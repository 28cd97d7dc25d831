package docs

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hodei-jobs/hodei/docs/house"
)

// Every package keeps to its row in house.md, to the sizes and to the habits.
func TestTheHouseIsInOrder(t *testing.T) {
	touchFolders(t, "..")
	faults, err := house.Check(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

// touchFolders opens every folder, so that the go command's cache of test
// results knows that a new package or file may change the outcome: packages are
// listed by another process, which the cache does not see.
func touchFolders(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
