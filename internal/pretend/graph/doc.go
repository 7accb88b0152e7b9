// Package graph is a pretend Microsoft Graph on loopback: as much of a tenant's
// directory as the doctor reads, with switches for each way in which it can be
// wrong.
//
// It knows no mail, and gives out no tokens: who may read is asked of the pretend
// issuer.
package graph
