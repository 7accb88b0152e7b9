package mailroom

import (
	"net/mail"
	"slices"
	"strings"
)

// Sought are the ways to read what a person pasted to look for one mail: as a
// Message-ID, as a sender's address, as both where it may be either, else as
// words of a subject. nil for nothing.
func Sought(text string) []FindTerms {
	return slices.DeleteFunc(sought(text), FindTerms.Empty)
}

func sought(text string) []FindTerms {
	text = strings.Join(strings.Fields(text), " ")
	name, value, named := strings.Cut(text, ":")
	value = strings.TrimSpace(value)
	switch {
	case text == "":
		return nil
	case named && strings.EqualFold(name, "message-id"):
		return []FindTerms{{MessageID: CleanMessageID(value)}}
	case named && (strings.EqualFold(name, "subject") || strings.EqualFold(name, "onderwerp")) && value != "":
		return []FindTerms{{Subject: value}}
	case named && (strings.EqualFold(name, "from") || strings.EqualFold(name, "van")) && value != "":
		text = value
	}
	if bare, ok := strings.CutPrefix(text, "<"); ok && strings.HasSuffix(bare, ">") && !strings.ContainsAny(bare, " ") {
		return []FindTerms{{MessageID: CleanMessageID(text)}}
	}
	if !strings.Contains(text, "@") {
		return []FindTerms{{Subject: text}}
	}
	if !strings.Contains(text, " ") {
		terms := []FindTerms{{MessageID: CleanMessageID(text)}}
		if a, err := mail.ParseAddress(text); err == nil {
			terms = append(terms, FindTerms{From: NormalAddress(a.Address)})
		}
		return terms
	}
	if a, err := mail.ParseAddress(text); err == nil {
		return []FindTerms{{From: NormalAddress(a.Address)}}
	}
	return []FindTerms{{Subject: text}}
}
