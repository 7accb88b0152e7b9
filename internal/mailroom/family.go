package mailroom

import "strings"

// RefusalFamily is every refusal of a provider or a mail server that has the
// same words, the same person who mends it and the same way to do so. It is the
// catalogue's unit: data for words, never for what the machine does next.
type RefusalFamily struct {
	Key    string   // "oauth.error.mfa": the words for the recruiter
	Kind   Kind     // says who mends it
	Errors []string // OAuth error values that lead here without a code (RFC 6749 §5.2)
	Codes  []string // AADSTS numbers
	Says   []string // what mail servers are known to say
}

// ID is the family's name within its noun: "mfa".
func (f RefusalFamily) ID() string { return f.Key[strings.LastIndexByte(f.Key, '.')+1:] }

// Noun is where the refusal comes from: "oauth" for a provider, "imap" for a
// mail server.
func (f RefusalFamily) Noun() string {
	noun, _, _ := strings.Cut(f.Key, ".")
	return noun
}

// Anchor names the family on the catalogue's page.
func (f RefusalFamily) Anchor() string { return f.Noun() + "-" + f.ID() }

// AdminKey is the key of the words for the company's administrator, or for
// whoever runs Mailroom: "oauth.error.mfa" → "oauth.admin.mfa". Not every error
// has such words.
func AdminKey(key string) string { return strings.Replace(key, ".error.", ".admin.", 1) }

// TitleKey is the key of a family's name in few words.
func TitleKey(key string) string { return strings.Replace(key, ".error.", ".title.", 1) }

// CodeLookup is Microsoft's page about one of its codes.
func CodeLookup(number string) string {
	return "https://login.microsoftonline.com/error?code=" + number
}
