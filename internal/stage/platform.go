package stage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-rls/weir/internal/parts"
)

// startPlatform starts what a platform runs, and so many replicas of weir as it would, and
// is the Envoy file with the places on this machine.
func (s *Stage) startPlatform(e Example, o Options, bootstrap []byte, replicas int) (_ []byte, err error) {
	if s.platform, err = e.Platform(s); err != nil {
		return nil, err
	}
	environ := append([]string(nil), s.platform.Environ...)
	text := string(bootstrap)
	for stated, here := range s.platform.Places {
		for i := range environ {
			environ[i] = strings.Replace(environ[i], "="+stated, "="+here, 1)
		}
		text = strings.ReplaceAll(text, stated+"/", here+"/")
	}
	environ = append(environ, "HOST=127.0.0.1", "PORT=0", "GRPC_HOST=127.0.0.1", "GRPC_PORT=0", "DEBUG_HOST=127.0.0.1", "DEBUG_PORT=0",
		"PROMETHEUS_ADDR=127.0.0.1:0", "WEIR_DRAIN_DELAY=0s", "LOG_LEVEL=info")
	if s.Redis != nil {
		environ = append(environ, "REDIS_SOCKET_TYPE=tcp", "REDIS_URL="+s.Redis.Addr)
	} else {
		environ = append(environ, "BACKEND_TYPE=memory")
	}
	weir, err := filepath.Abs(o.Weir)
	if err != nil {
		return nil, err
	}
	ratelimit := filepath.Join(s.Scratch, "ratelimit")
	if err := os.Symlink(weir, ratelimit); err != nil {
		return nil, err
	}
	for range replicas {
		process, err := parts.StartRatelimit(parts.Program{Path: ratelimit, Args: s.platform.Args, Env: environ})
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: build it with `make build`", err)
		}
		if err != nil {
			return nil, err
		}
		s.Weirs = append(s.Weirs, process)
		s.Screen.part("weir", fmt.Sprintf("%s, as %s; its debug port is %s", process.GRPC, ratelimit, process.Debug))
	}
	s.Screen.note(strings.Join(s.platform.Environ, " "))
	return []byte(text), nil
}
