// Package browsertest lets tests use pages as people do, in the real Chromium. What a
// page should not do fails the test by itself: errors in the console, violations of
// its Content-Security-Policy, and requests to any other origin.
package browsertest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/weir-rls/weir/internal/parts"
)

// Browser is a running Chromium without windows.
type Browser struct{ ctx context.Context }

// patience is how long anything may take that a test waits for: a busy machine has
// other things to do.
const patience = 30 * time.Second

// running is the one Chromium of all tests of a package: to start it takes longer than
// most of them.
var running struct {
	sync.Mutex
	browser *Browser
	stop    func()
}

// Start is a Chromium, which is started if it is not running yet. The test fails if there
// is none. [Suite.Run] ends it.
func Start(t testing.TB) *Browser {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	if running.browser != nil {
		return running.browser
	}
	path, err := parts.Find(parts.Chromium)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.MkdirTemp("", "weir-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(data), chromedp.WSURLReadTimeout(patience),
		chromedp.NoSandbox, // containers have no namespaces for it; it loads weir's pages alone
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	running.stop = func() {
		_ = chromedp.Cancel(ctx) // it waits for the end
		cancel()
		_ = os.RemoveAll(data)
	}
	if err := chromedp.Do(ctx); err != nil {
		running.stop()
		t.Fatalf("start %s: %v", path, err)
	}
	running.browser = &Browser{ctx}
	return running.browser
}

// Suite runs the tests of a package, and then ends the browser that they used. It is
// what goleak.VerifyTestMain is given in place of m.
type Suite struct{ M interface{ Run() int } }

// Run implements goleak.TestingM.
func (s Suite) Run() int {
	code := s.M.Run()
	running.Lock()
	defer running.Unlock()
	if running.browser != nil {
		running.stop()
		running.browser = nil
	}
	return code
}

// screenshots is where they are kept: the directory that WEIR_SCREENSHOTS names, else
// .artefacts/screenshots in the checkout.
func screenshots() (string, error) {
	dir := os.Getenv("WEIR_SCREENSHOTS")
	if dir == "" {
		root, err := parts.ModuleRoot()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, ".artefacts", "screenshots")
	}
	return dir, os.MkdirAll(dir, 0o755)
}
