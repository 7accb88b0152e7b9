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
