package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2"
)

// Token gets tokens for email as a person would: sign in, consent, come back.
// Scopes are as in Config.
func (op *OIDCServer) Token(email string, scopes ...string) *oauth2.Token {
	op.t.Helper()
	config := op.Config(scopes...)
	verifier := oauth2.GenerateVerifier()
	// offline_access counts only together with prompt=consent (OpenID Connect Core, 11).
	callback := op.Authorize(config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "consent")), email)
	code := callback.Query().Get("code")
	if code == "" {
		op.t.Fatalf("OpenID provider: no code came back: %s", callback)
	}
	token, err := config.Exchange(context.Background(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		op.t.Fatalf("OpenID provider: %v", err)
	}
	return token
}

// Authorize opens authURL as a new browser would, signs in as email, accepts, and
// returns the address that the provider sends the browser to. That address is not
// opened.
func (op *OIDCServer) Authorize(authURL, email string) *url.URL {
	op.t.Helper()
	callback, err := op.visit(authURL, email, "confirm")
	if err != nil {
		op.t.Fatalf("OpenID provider: %v", err)
	}
	return callback
}

// Refuse is Authorize by somebody who presses Refuse at the end.
func (op *OIDCServer) Refuse(authURL, email string) *url.URL {
	op.t.Helper()
	callback, err := op.visit(authURL, email, "deny")
	if err != nil {
		op.t.Fatalf("OpenID provider: %v", err)
	}
	return callback
}

var formAction = regexp.MustCompile(`action="(/interaction/[^"]+)"`)

// errLeft stops a browser at the door of the provider.
var errLeft = errors.New("the provider sends the browser away")

func (op *OIDCServer) visit(authURL, email, decision string) (*url.URL, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	var left *url.URL
	browser := &http.Client{Jar: jar, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if !strings.HasPrefix(req.URL.String(), op.Issuer+"/") {
			left = req.URL
			return errLeft
		}
		return nil
	}}
	page, err := read(browser.Get(authURL))
	for range 5 {
		if left != nil {
			return left, nil
		}
		if err != nil {
			return nil, err
		}
		path := ""
		for _, action := range formAction.FindAllStringSubmatch(page, -1) {
			if strings.HasSuffix(action[1], "/login") || strings.HasSuffix(action[1], "/"+decision) {
				path = action[1]
				break
			}
		}
		if path == "" {
			return nil, fmt.Errorf("a page without a way on:\n%s", page)
		}
		page, err = read(browser.PostForm(op.Issuer+path, url.Values{"login": {email}}))
	}
	return nil, fmt.Errorf("the sign-in does not come to an end; last page:\n%s", page)
}

func read(res *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return string(body), err
}
