package web

// access says for whom a route is.
type access int

const (
	public   access = iota // anybody
	signedIn               // any user
	admin                  // administrators
)

// route is one line of the table below.
type route struct {
	method, pattern string
	access          access
	handler         func(*call) error
}

// routes is the whole of Mailroom over HTTP, but for static files and what Deps
// mounts. A test walks it: what is not public refuses strangers, every POST
// refuses other sites, and every {id} of somebody else is not found.
func routes() []route {
	const get, post = "GET", "POST"
	return []route{
		{get, "/", signedIn, showStart},
		{get, "/events", signedIn, showEvents},
		{get, "/sign-in", public, showSignIn},
		{post, "/sign-in", public, signIn},
		{post, "/sign-out", public, signOut},
		{get, "/setup", public, showSetup},
		{post, "/setup", public, saveSetup},
		{post, "/language", public, saveLanguage},

		{get, "/settings", signedIn, showSettings},
		{get, "/settings/profile", signedIn, showProfile},
		{post, "/settings/profile", signedIn, saveProfile},
		{post, "/settings/profile/password", signedIn, savePassword},
		{post, "/settings/profile/sign-out-everywhere", signedIn, signOutEverywhere},
	}
}
