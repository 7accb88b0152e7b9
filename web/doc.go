// Package web is Mailroom over HTTP: routes, sessions, forms in, pages out,
// errors to pages.
//
// It decides nothing: who may do what, and what it does, is the portal's. It
// knows no SQL, no IMAP and no OAuth. What a page looks like is in templates.
//
// Every page and every form works without JavaScript. htmx and 90-mailroom.js
// make them live, under a policy that allows no inline script and no inline
// style.
package web
