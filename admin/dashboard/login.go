package dashboard

import (
	"net/http"
	"net/url"

	"github.com/weir-rls/weir/admin"
)

const loginPath = "/login"

var loginPage = page{
	name: "login", path: loginPath, title: "Log in", shows: "log in with a token",
	data: func(d *dashboard, r *http.Request) (any, error) {
		possible, known := d.site.LoginState(r)
		return login{Possible: possible, Known: known, Next: next(r.URL.Query())}, nil
	},
}

var refusalPage = page{name: "refused", title: "Not shown"}

// login is what the login page shows.
type login struct {
	Possible bool // tokens are set up
	Known    bool // the caller is let in already
	Next     string
	Refused  *admin.Refusal
}

// next is the page that was asked for, if it is one.
func next(values url.Values) string {
	if wanted := values.Get("next"); inside(wanted) {
		return wanted
	}
	return home
}

// logIn reads the login page's form.
func (d *dashboard) logIn(w http.ResponseWriter, r *http.Request) {
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
