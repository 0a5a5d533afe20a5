package browsertest

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Look is how a page is looked at.
type Look struct {
	Dark          bool  // the system prefers dark
	Width, Height int64 // of the window, in pixels; 0: 1440 by 900
}

// Page is a tab with cookies of its own.
type Page struct {
	t    testing.TB
	ctx  context.Context
	mu   sync.Mutex
	seen []string // what it should not have done
	asks []string // the URLs that it asked for
	host string   // which alone it may ask
	may  []string // parts of errors that are expected
}

// Open opens a page. What it did that it should not have fails the test at its end.
func (b *Browser) Open(t testing.TB, link string, look Look) *Page {
	t.Helper()
	at, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	p := &Page{t: t, host: at.Host}
	var cancel context.CancelFunc
	p.ctx, cancel = chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.heard))
	t.Cleanup(func() {
		cancel()
		for _, fault := range p.Faults() {
			t.Errorf("%s: %s", link, fault)
		}
	})
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	if look.Width == 0 {
		look.Width, look.Height = 1440, 900
	}
	// The first run of a tab binds it to its context, which must not end with the run.
	if err := chromedp.Do(p.ctx); err != nil {
		t.Fatal(err)
	}
	p.Do(command(network.Enable, network.EnableParams{}), command(cdplog.Enable, cdp.Empty{}), chromedp.EmulateViewport(look.Width, look.Height),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		}))
	p.Go(link)
	return p
}

// command is a command of the browser's protocol, without its answer.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// heard notes what the browser tells of the page.
func (p *Page) heard(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			var text []string
			for _, arg := range e.Args {
				text = append(text, strings.Trim(string(arg.Value), `"`)+arg.Description)
			}
			p.note("console: " + strings.Join(text, " "))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.note("exception: " + text)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			p.note("log: " + e.Entry.Text + " " + e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		p.asked(e.Request.URL)
	}
}

func (p *Page) asked(link string) {
	p.mu.Lock()
	p.asks = append(p.asks, link)
	host := p.host
	p.mu.Unlock()
	if at, err := url.Parse(link); err != nil || at.Host != host && at.Scheme != "data" {
		p.note("it asks another origin: " + link)
	}
}

func (p *Page) note(fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fault)
}

// Expect takes errors for right that have a text in them, as "status of 422".
func (p *Page) Expect(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.may = append(p.may, text)
}

// Faults are what the page did that it should not have.
func (p *Page) Faults() (faults []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fault := range p.seen {
		if !slices.ContainsFunc(p.may, func(part string) bool { return strings.Contains(fault, part) }) {
			faults = append(faults, fault)
		}
	}
	return faults
}

// Asked are the URLs that the page asked for.
func (p *Page) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asks)
}

// Do runs actions one after the other, and fails the test where one fails.
func (p *Page) Do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%v; the page has done wrong: %q", err, p.Faults())
	}
}

// get is what an action answers.
func get[T any](p *Page, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("%v; the page has done wrong: %q", err, p.Faults())
	}
	return value
}

// Go opens another page in the same tab, and waits until it is loaded.
func (p *Page) Go(link string) {
	p.t.Helper()
	p.Do(chromedp.Navigate(link))
}

// Eval is the value of a JavaScript expression, which may be a promise.
func Eval[T any](p *Page, script string) T {
	p.t.Helper()
	return get(p, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// Text is what an element shows, once it is there.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	p.Await(selector+" is there", "document.querySelector("+quoted(selector)+")")
	return strings.TrimSpace(Eval[string](p, "document.querySelector("+quoted(selector)+").innerText"))
}

// Await waits until a JavaScript expression is true.
func (p *Page) Await(what, condition string) {
	p.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		// A page that is being replaced has no answer yet.
		if holds, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool]("!!("+condition+")")); err == nil && holds {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("not within %v: %s (%s); the page shows\n%s\nand has done wrong: %q", patience, what, condition, Eval[string](p, "document.body.innerText"), p.Faults())
		}
	}
}

// Click clicks at an element, once it is visible.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.Await(selector+" is visible", "document.querySelector("+quoted(selector)+")?.checkVisibility()")
	p.Do(chromedp.Click(chromedp.CSS(selector)))
}

// Fill writes a text into a field, in place of what is in it, once the field is there.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	field := "document.querySelector(" + quoted(selector) + ")"
	p.Await(selector+" is there", `document.readyState === "complete" && `+field)
	Eval[bool](p, field+".focus(), "+field+".select(), true")
	if text == "" {
		p.Keys(kb.Backspace)
		return
	}
	p.Do(command(input.InsertText, input.InsertTextParams{Text: text}))
}

// Select chooses the option of a value.
func (p *Page) Select(selector, value string) {
	p.t.Helper()
	Eval[bool](p, "(() => { const e = document.querySelector("+quoted(selector)+"); e.value = "+quoted(value)+"; return e.dispatchEvent(new Event('change', {bubbles: true})); })()")
}

// Keys presses keys, one after the other, wherever the focus is: a text, or one of kb.
func (p *Page) Keys(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.Do(chromedp.KeyEvent(key))
	}
}

// TabTo presses the tabulator until an element has the focus that matches the selector.
func (p *Page) TabTo(selector string) {
	p.t.Helper()
	for range 100 {
		if Eval[bool](p, "document.activeElement.matches("+quoted(selector)+")") {
			return
		}
		p.Keys(kb.Tab)
	}
	p.t.Fatalf("the tabulator does not lead to %s", selector)
}

// Screenshot keeps what the page shows, whole, as NAME.png.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	dir, err := screenshots()
	if err != nil {
		p.t.Fatal(err)
	}
	picture := get(p, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		whole := true
		taken, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &whole})
		return taken.Data, err
	})
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
