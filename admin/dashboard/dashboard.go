// Package dashboard shows weir to people: pages for a browser, beside the JSON API
// that their scripts ask. A page is a file here, a template of the same name and, if
// it moves, a script; the list in page.go has them all.
package dashboard

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/weir-rls/weir/admin"
	"github.com/weir-rls/weir/capacity"
	"github.com/weir-rls/weir/descriptors"
	"github.com/weir-rls/weir/overrides"
	"github.com/weir-rls/weir/traffic"
)

// Options are what the pages show.
type Options struct {
	Rules    *descriptors.Source
	Book     *overrides.Book
	Capacity *capacity.Controller
	Traffic  *traffic.Traffic
	Version  string // of weir
	Status   func() Status
	// Levels are where the buckets stand that a request meets, and Shares what the
	// classes of all pools have and use.
	Levels func(context.Context, descriptors.Request) ([]Level, error)
	Shares func(context.Context) ([]Share, error)
	// Explain tells what would be answered to a request in the form of the API, and
	// why. It takes nothing.
	Explain func(ctx context.Context, body []byte) (status int, header http.Header, answer []byte)
}

// Status is how the replica stands.
type Status struct {
	Store    string // what it keeps buckets in, as the settings name it
	Shared   bool   // with other replicas
	Replicas int64  // that share the store and were heard of lately, 0: it is not known
	NotReady string // why it should get no requests, empty if it should
}

// Level is where one bucket stands, in whole tokens or slots.
type Level struct {
	Limit          string
	Capacity, Used int64
}

// Share is what one class has of its pool, in whole tokens or slots and tokens a second.
type Share struct {
	Domain, Pool, Class        string
	Slots, Split               bool
	Size, Used                 int64
	Rate                       float64
	Guaranteed, GuaranteedUsed int64
	GuaranteedRate             float64
	Borrows                    bool
}

// home is the path of the first page. The others are below it.
const home = "/dashboard"

type dashboard struct {
	Options
	site  *admin.Pages
	files *assets
	pages map[string]*shown // by the page's name
}

// Add serves the dashboard among other pages, and sends browsers to it that ask for
// the list of all paths.
func Add(site *admin.Pages, o Options) {
	d := &dashboard{Options: o, site: site, files: readAssets(), pages: map[string]*shown{}}
	for _, p := range append([]page{loginPage, refusalPage}, pages...) {
		d.pages[p.name] = d.prepare(p)
	}
	for _, p := range pages {
		site.Add(admin.Viewer, http.MethodGet, p.path, "page: "+p.shows, d.pages[p.name])
	}
	site.Add(admin.Everyone, http.MethodGet, assetsPath+"{file}", "what the pages load", d.files)
	site.Add(admin.Everyone, http.MethodGet, loginPath, "page: log in with a token", http.HandlerFunc(d.showLogin))
	site.AddQuestion(admin.Everyone, loginPath, "log in with a token", http.HandlerFunc(d.logIn))
	site.AddQuestion(admin.Viewer, "/logout", "log out", http.HandlerFunc(d.logOut))
	site.AddQuestion(admin.Viewer, rulesPage.path, "page: why a request is limited", http.HandlerFunc(d.explain))
	site.Add(admin.Operator, http.MethodPost, modelsPage.path, "page: change the limits of models", http.HandlerFunc(d.saveModels))
	site.Add(admin.Operator, http.MethodPost, changesPage.path, "page: take back what was set", http.HandlerFunc(d.undo))
	site.SetFront(admin.Front{Home: home, Refused: d.refused})
}

// refused shows why a browser does not get the page that it asks for, or lets it log
// in if that helps.
func (d *dashboard) refused(w http.ResponseWriter, r *http.Request, why admin.Refusal) {
	if why.Status == http.StatusUnauthorized {
		http.Redirect(w, r, loginPath+"?"+url.Values{"next": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		return
	}
	d.pages[refusalPage.name].write(w, r, why.Status, why)
}

// inside tells whether a link leads to a page of weir, and nowhere else: browsers take a
// backslash for a slash, and leave tabs and line ends out.
func inside(link string) bool {
	return strings.HasPrefix(link, "/") && !strings.HasPrefix(link, "//") && !strings.ContainsAny(link, "\\\t\r\n")
}
