// Package courier carries a notice to people: by mail over SMTP (RFC 5321), and
// to a webhook (Standard Webhooks).
//
// It does not decide who is told what, or when, and keeps nothing. It logs
// neither addresses nor what it carries, and its errors hold none of a server's
// own words: those may repeat the address or the password that was refused.
package courier
