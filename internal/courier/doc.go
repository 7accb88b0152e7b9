// Package courier carries a notice to people: by mail over SMTP, and to a
// webhook (Standard Webhooks).
//
// It does not decide who is told what, or when, and keeps nothing.
package courier
