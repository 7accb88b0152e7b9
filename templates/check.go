package templates

import "mailroom/internal/mailroom"

// checkTone is the colour of a check's dot.
func checkTone(r mailroom.CheckResult) string {
	switch r {
	case mailroom.CheckOK:
		return "ok"
	case mailroom.CheckFailed:
		return "bad"
	case mailroom.CheckWaiting:
		return "busy"
	}
	return ""
}

// checkLine is what is wrong, in the words for who reads it.
func checkLine(p Page, pr *mailroom.Problem) string {
	if p.User.IsAdmin() && !askedToWait(p, pr) {
		return AdminProblemText(p.T, pr)
	}
	return problemLine(p, pr)
}
