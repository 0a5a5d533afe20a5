package migrate

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Tree says where below a runtime directory the rule files are.
type Tree struct {
	Subdirectory string // as RUNTIME_SUBDIRECTORY states it
	App          string // as RUNTIME_APPDIRECTORY states it; empty: config
}

// Find is the rule files that the reference service reads of a runtime directory, whatever
// their names end in, in order. Where it has no such directories below, it is the
// directory of rule files itself; it may also be one file. What begins with a dot is left
// out: in a mounted ConfigMap each file is there a second time, under such a name.
func (t Tree) Find(dir string) ([]string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{dir}, nil
	}
	app := t.App
	if app == "" {
		app = "config"
	}
	for _, below := range []string{filepath.Join(t.Subdirectory, app), app} {
		if info, err := os.Stat(filepath.Join(dir, below)); err == nil && info.IsDir() {
			dir = filepath.Join(dir, below)
			break
		}
	}
	files, err := filesBelow(dir, 0)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no rule file in %q", dir)
	}
	return files, err
}

// deepest bounds how deep directories nest, so that a symbolic link to one above ends.
const deepest = 20

func filesBelow(dir string, depth int) (files []string, err error) {
	if depth > deepest {
		return nil, fmt.Errorf("directories nest deeper than %d: %q", deepest, dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(name) // of a link, what it leads to
		if err != nil {
			return nil, err
		}
		switch {
		case info.IsDir():
			below, err := filesBelow(name, depth+1)
			if err != nil {
				return nil, err
			}
			files = append(files, below...)
		case info.Mode()&fs.ModeType == 0:
			files = append(files, name)
		}
	}
	return files, nil
}
