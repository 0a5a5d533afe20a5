package dashboard

import (
	"net/http"
	"net/url"

	"github.com/weir-rls/weir/admin"
)

const loginPath = "/login"

var loginPage = page{name: "login", title: "Log in"}

var refusalPage = page{name: "refused", title: "Not shown"}

// login is what the login page shows.
type login struct {
	Possible bool // tokens are set up
	Next     string
	Refused  *admin.Refusal
}

// showLogin shows the login page to who is not let in, or wants to be somebody else.
func (d *dashboard) showLogin(w http.ResponseWriter, r *http.Request) {
	possible, known := d.site.LoginState(r)
	query := r.URL.Query()
	if known && (!possible || !query.Has("again")) {
		http.Redirect(w, r, next(query), http.StatusSeeOther)
		return
	}
	// A link on another site brings no cookie along. The page asks for itself again, from
	// here, and who has logged in is let through.
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		w.Header().Set("Refresh", "0")
	}
	d.pages[loginPage.name].write(w, r, http.StatusOK, login{Possible: possible, Next: next(query)})
}

// next is the page that was asked for, if it is one.
func next(values url.Values) string {
	if wanted := values.Get("next"); inside(wanted) {
		return wanted
	}
	return home
}

// mostLogin bounds what the login page may send, in bytes: anybody may send it.
const mostLogin = 16 << 10

// logIn reads the login page's form.
func (d *dashboard) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, mostLogin)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	to := next(r.PostForm)
	if refused := d.site.LogIn(w, r, r.PostForm.Get("token")); refused != nil {
		d.pages[loginPage.name].write(w, r, refused.Status, login{Possible: true, Next: to, Refused: refused})
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (d *dashboard) logOut(w http.ResponseWriter, r *http.Request) {
	d.site.LogOut(w, r)
	http.Redirect(w, r, loginPath, http.StatusSeeOther)
}
