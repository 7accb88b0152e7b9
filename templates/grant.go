package templates

import (
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"mailroom/internal/mailroom"
	"mailroom/internal/portal"
)

// ActivationExtra is what the oAuth 2.0 dialog shows beside the settings.
type ActivationExtra struct {
	Fresh    bool                  // permission was given just now
	Steps    portal.Probing        // how far a look at the mailbox has come; no Checks when nobody looks
	StepsURL string                // of the page that shows them
	Choice   *mailroom.GrantChoice // waits for the person, nil for nothing
	LeftAt   time.Time             // when the browser left for the provider and did not come back; zero for never
}

// stepsAttributes have the steps ask for themselves again while they are made.
func (x ActivationExtra) stepsAttributes() templ.Attributes {
	a := templ.Attributes{"id": "steps", "class": "live"}
	if x.Steps.Running {
		a["hx-get"], a["hx-select"], a["hx-target"], a["hx-swap"] = x.StepsURL, "#steps", "this", "outerHTML"
		a["hx-trigger"] = "load delay:600ms"
	}
	return a
}

// wrongAccount: another account granted than the mailbox's.
func wrongAccount(pr *mailroom.Problem) bool { return pr.Key == "grant.error.wrong_account" }

// answered: the answer that was refused had been used already, and the permission
// that it brought stands. A browser that goes back, or loads a page again, does that.
func answered(v IntegrationsView, pr *mailroom.Problem) bool {
	return pr.Key == "grant.error.state" && v.Grant != nil && !v.consentProblem()
}

// leftOut are the permissions that a refused grant lacked.
func leftOut(pr *mailroom.Problem) []string {
	if pr.Key != "grant.error.scope_missing" {
		return nil
	}
	scopes, _ := pr.Args["scopes"].(string)
	if scopes == "" {
		return nil
	}
	return strings.Split(scopes, ", ")
}

// maybeLicence: the account signs in and opens nothing, which a missing licence
// looks like.
func (x ActivationExtra) maybeLicence() bool {
	return slices.ContainsFunc(x.Steps.Checks, func(c mailroom.Check) bool {
		return c.Problem != nil && c.Problem.Key == "imap.error.not_connected"
	})
}
