package doctor

import (
	"context"
	"errors"
	"sync"

	"mailroom/internal/mailroom"
)

// fact is an answer of the directory, or why there is none.
type fact[T any] struct {
	is  T
	err error
}

func ask[T any](v T, err error) fact[T] { return fact[T]{v, err} }

// errAfter: a question that could not be asked, since another has no answer.
var errAfter = errors.New("the question before has no answer")

// facts are all that the directory said about one patient.
type facts struct {
	app, mail   fact[mailroom.DirectoryApp] // ours, and the service that the mail is at
	user        fact[mailroom.DirectoryUser]
	assignments fact[[]mailroom.DirectoryAssignment]
	// assigned and groups are asked where assignments does not settle it.
	assigned fact[[]mailroom.DirectoryAssignment]
	groups   fact[[]mailroom.DirectoryGroup]
	consents fact[[]mailroom.DirectoryConsent]
	policies fact[[]string]
	requests fact[mailroom.DirectoryRequests]
	plans    fact[[]mailroom.DirectoryPlan]
}

// gather asks the directory everything, what does not depend on other answers at
// once.
func gather(ctx context.Context, dir Directory, p mailroom.Patient) facts {
	var f facts
	var first, then sync.WaitGroup
	first.Go(func() { f.app = ask(dir.Application(ctx, p.Provider.ClientID)) })
	first.Go(func() { f.mail = ask(dir.Application(ctx, p.Provider.Directory.MailService)) })
	first.Go(func() { f.user = ask(dir.User(ctx, p.Account)) })
	first.Go(func() { f.policies = ask(dir.ConsentPolicies(ctx)) })
	first.Go(func() { f.requests = ask(dir.ConsentRequests(ctx)) })
	first.Wait()
	f.consents.err, f.assignments.err, f.assigned.err, f.plans.err = errAfter, errAfter, errAfter, errAfter
	f.groups.err = errAfter
	if f.app.err == nil {
		then.Go(func() { f.consents = ask(dir.Consents(ctx, f.app.is.ID)) })
	}
	if f.user.err == nil {
		then.Go(func() { f.plans = ask(dir.Plans(ctx, f.user.is.ID)) })
	}
	if f.app.err == nil && f.user.err == nil && f.app.is.AssignmentRequired {
		then.Go(func() {
			f.assignments = ask(dir.Assignments(ctx, f.user.is.ID, f.app.is.ID))
			if f.assignments.err == nil && len(f.assignments.is) > 0 {
				return
			}
			f.assigned = ask(dir.Assigned(ctx, f.app.is.ID))
			f.groups = ask(dir.Groups(ctx, f.user.is.ID))
		})
	}
	then.Wait()
	return f
}
