package mailroom

import "time"

// CheckResult is how a check came out.
type CheckResult string

const (
	CheckOK      CheckResult = "ok"
	CheckFailed  CheckResult = "failed"  // looked at, and not as it should be
	CheckUnknown CheckResult = "unknown" // not looked at: Check.Problem says why
	CheckWaiting CheckResult = "waiting" // its turn has not come, or it is being looked at
)

// Check is one thing that was looked at for a person: a step after a grant, a
// piece of a provider's configuration, a row of the doctor's report. What could
// not be seen is unknown, never failed.
type Check struct {
	Name   string         // i18n key of what is looked at: "doctor.check.assigned"
	Result CheckResult    // Name + ".ok" is the key of what a good result means
	Args   map[string]any // of the words of a good result
	// Problem says what is wrong, who mends it and how (failed), or why nothing
	// could be seen (unknown).
	Problem *Problem
	Took    time.Duration // 0 when nobody measured
}

// Passed is a check that came out well.
func Passed(name string, args map[string]any) Check {
	return Check{Name: name, Result: CheckOK, Args: args}
}

// Failing is a check that did not come out well, for the reason in err.
func Failing(name string, err error, at time.Time) Check {
	return Check{Name: name, Result: CheckFailed, Problem: ProblemOf(err, at)}
}

// Unseen is a check that could not be made, for the reason in err.
func Unseen(name string, err error, at time.Time) Check {
	return Check{Name: name, Result: CheckUnknown, Problem: ProblemOf(err, at)}
}

// AllPassed reports whether every check came out well; false for none.
func AllPassed(cs []Check) bool {
	for _, c := range cs {
		if c.Result != CheckOK {
			return false
		}
	}
	return len(cs) > 0
}
