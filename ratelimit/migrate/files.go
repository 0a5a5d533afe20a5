package migrate

import (
	"fmt"
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
	w := walk{map[string]struct{}{}, nil}
	if err = w.directory(dir); err == nil && len(w.files) == 0 {
		err = fmt.Errorf("no rule file in %q", dir)
	}
	return w.files, err
}

// walk collects files, each once: links may lead to one that stands elsewhere, and to a
// directory above.
type walk struct {
	seen  map[string]struct{} // by their real paths
	files []string
}

func (w *walk) directory(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := filepath.Join(dir, e.Name())
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			return err
		}
		info, err := os.Stat(real)
		if err != nil {
			return err
		}
		if _, again := w.seen[real]; again {
			continue
		}
		w.seen[real] = struct{}{}
		switch {
		case info.IsDir():
			if err := w.directory(name); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			w.files = append(w.files, name)
		}
	}
	return nil
}
