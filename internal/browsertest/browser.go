// Package browsertest lets tests use pages as people do, in the real Chromium. What a
// page should not do fails the test by itself: errors in the console, violations of
// its Content-Security-Policy, and requests to any other origin.
package browsertest

import (
	"context"
	"os"
	"path/filepath"
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

// Start starts a Chromium for the time of the test, which fails if there is none.
func Start(t testing.TB) *Browser {
	t.Helper()
	path, err := parts.Find(parts.Chromium)
	if err != nil {
		t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(patience),
		chromedp.NoSandbox, // containers have no namespaces for it; it loads weir's pages alone
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil { // it waits for the end
			t.Log(err)
		}
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return &Browser{ctx}
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
