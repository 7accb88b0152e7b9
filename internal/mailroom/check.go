package mailroom

import (
	"slices"
	"time"
)

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

// Steps are checks that are made one after the other, of which each makes sense
// only after those before it. Whoever waits is told after each.
type Steps struct {
	checks []Check
	tell   func([]Check)
	now    func() time.Time
}

// NewSteps makes steps that all wait. tell, which may be nil, gets a copy of the
// rows after every change.
func NewSteps(now func() time.Time, tell func([]Check), names ...string) *Steps {
	s := &Steps{tell: tell, now: now}
	for _, n := range names {
		s.checks = append(s.checks, Check{Name: n, Result: CheckWaiting})
	}
	s.told()
	return s
}

// Do makes one step. When it does not come out well, those that wait are not
// looked at any more, and its error comes back.
func (s *Steps) Do(name string, do func() (args map[string]any, err error)) error {
	began := s.now()
	args, err := do()
	c := Passed(name, args)
	if err != nil {
		c = Failing(name, err, s.now())
	}
	c.Took = s.now().Sub(began)
	for i := range s.checks {
		switch {
		case s.checks[i].Name == name:
			s.checks[i] = c
		case err != nil && s.checks[i].Result == CheckWaiting:
			s.checks[i] = Unseen(s.checks[i].Name, E(Unavailable, "check.step_before"), s.now())
		}
	}
	s.told()
	return err
}

// Again has the named steps wait once more, because there is another way to try.
func (s *Steps) Again(names ...string) {
	for i := range s.checks {
		if slices.Contains(names, s.checks[i].Name) {
			s.checks[i] = Check{Name: s.checks[i].Name, Result: CheckWaiting}
		}
	}
	s.told()
}

// Checks are the rows as they stand.
func (s *Steps) Checks() []Check { return slices.Clone(s.checks) }

func (s *Steps) told() {
	if s.tell != nil {
		s.tell(s.Checks())
	}
}
