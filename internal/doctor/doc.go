// Package doctor looks at each step that stands between a person and their mail,
// and says of each whether it is well, who mends it and how, or why it could not
// be seen.
//
// It changes nothing, neither here nor in the tenant, keeps nothing, and reaches
// the directory and the mail server through the small interfaces that it names.
package doctor
