// Package graph reads a tenant's directory through Microsoft Graph: the
// application, who is assigned to it, what was consented, licences and the
// consent policy (docs/providers.md 5).
//
// It writes nothing there, keeps no token, and judges nothing: what an answer
// means for a person is doctor's.
package graph
