package store

import (
	"context"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"mailroom/internal/mailroom"
)

// maxIndexed bounds the body text that is indexed of one mail, in octets. A
// tsvector may not exceed 1 MB, and no human wrote more than this.
const maxIndexed = 256 << 10

// searchCond is the condition that seqColumn, which holds messages.seq, is a
// message that matches what a person typed. arg ("$3") stands for value. Every
// word must occur in subject, people or body, as the beginning of a word;
// "words in quotes" are a phrase. ok is false when query has no word to look for.
func (s *Store) searchCond(seqColumn, arg, query string) (cond, value string, ok bool) {
	terms := searchTerms(query)
	if len(terms) == 0 {
		return "", "", false
	}
	if s.pg {
		return seqColumn + ` IN (SELECT rowid FROM message_fts WHERE vector @@ to_tsquery('simple', ` + arg + `))`, tsquery(terms), true
	}
	return seqColumn + ` IN (SELECT rowid FROM message_fts WHERE message_fts MATCH ` + arg + `)`, fts5query(terms), true
}

// searchTerm is a phrase of one or more words; when prefix is set the last one
// stands for every word that begins with it.
type searchTerm struct {
	words  []string
	prefix bool
}

// searchTerms cuts a query as both indexes cut their text: at everything that is
// neither letter nor digit. What was written together ("jan@example.nl") stays
// a phrase.
func searchTerms(query string) []searchTerm {
	var out []searchTerm
	for i, part := range strings.Split(query, `"`) {
		if i%2 == 1 { // between quotes
			if words := indexWords(part); len(words) > 0 {
				out = append(out, searchTerm{words: words})
			}
			continue
		}
		for _, word := range strings.Fields(part) {
			if words := indexWords(word); len(words) > 0 {
				out = append(out, searchTerm{words: words, prefix: true})
			}
		}
	}
	const most = 20
	return out[:min(len(out), most)]
}

// indexWords are the words of a text as the index knows them: lower case,
// without diacritics.
func indexWords(s string) []string {
	return strings.FieldsFunc(plainLetters(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
}

// plainLetters is text in lower case with diacritics taken off, as FTS5's
// unicode61 tokenizer does by itself.
func plainLetters(s string) string {
	s = strings.ToLower(clean(s))
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fts5query writes terms in FTS5's language. The words hold letters and digits
// only, and stand in quotes, so nothing in them can be an operator.
func fts5query(terms []searchTerm) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(`"` + strings.Join(t.words, " ") + `"`)
		if t.prefix {
			b.WriteByte('*')
		}
	}
	return b.String()
}

// tsquery writes terms in the language of PostgreSQL's to_tsquery.
func tsquery(terms []searchTerm) string {
	var parts []string
	for _, t := range terms {
		p := "'" + strings.Join(t.words, "' <-> '") + "'"
		if t.prefix {
			p += ":*"
		}
		parts = append(parts, "("+p+")")
	}
	return strings.Join(parts, " & ")
}

// indexed is a message as the index wants it: on PostgreSQL body is its tsvector.
type indexed struct{ subject, people, body string }

func (s *Store) indexed(m mailroom.Message) indexed {
	var people strings.Builder
	for _, list := range [][]mailroom.Address{m.From, m.To, m.Cc, m.Bcc} {
		for _, a := range list {
			people.WriteString(a.Name)
			people.WriteByte(' ')
			people.WriteString(a.Addr)
			people.WriteByte(' ')
		}
	}
	text := cut(m.Text, maxIndexed)
	if s.pg {
		return indexed{body: tsvector(m.Subject, people.String(), text)}
	}
	return indexed{clean(m.Subject), clean(people.String()), clean(text)}
}

// clean makes text from outside fit for a TEXT column of either engine: valid
// UTF-8 without NUL.
func clean(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// cut is the beginning of s, at most n octets, without a torn character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// saveWords indexes messages: rows of seq, subject, people, body.
func (t *tx) saveWords(ctx context.Context, vals [][]any) error {
	if !t.s.pg {
		return t.insert(ctx, `INSERT INTO message_fts(rowid, subject, people, body) VALUES `, ``, vals)
	}
	for len(vals) > 0 {
		n := min(len(vals), 250)
		seqs, vectors := make([]int64, n), make([]string, n)
		for i, v := range vals[:n] {
			seqs[i], vectors[i] = v[0].(int64), v[3].(string)
		}
		vals = vals[n:]
		if _, err := t.exec(ctx, `INSERT INTO message_fts(rowid, vector)
			SELECT s, CAST(w AS tsvector) FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS TEXT[])) AS v(s, w)`, seqs, vectors); err != nil {
			return err
		}
	}
	return nil
}

// tsvector writes texts in the language of PostgreSQL's type of that name, one
// after the other. Its own parser takes an address or a URL for one word and costs
// three times the rest of a batch; cut here, both engines find the same.
func tsvector(texts ...string) string {
	const (
		positions = 255   // kept of one word
		last      = 16383 // position; further ones count as this one
		longest   = 1000  // octets of a word, under PostgreSQL's 2,046
	)
	type entry struct {
		word   string
		places []int32
	}
	words := make([][]string, len(texts))
	total := 0
	for i, text := range texts {
		words[i] = indexWords(text)
		total += len(words[i])
	}
	entries, known, first := make([]entry, 0, total), make(map[string]int32, total), make([]int32, total)
	at := int32(0)
	for _, ws := range words {
		for _, w := range ws {
			at++
			i, ok := known[w]
			switch {
			case len(w) > longest:
			case !ok:
				n := len(entries)
				known[w] = int32(n)
				first[n] = min(at, last)
				entries = append(entries, entry{w, first[n : n+1 : n+1]})
			case len(entries[i].places) < positions:
				entries[i].places = append(entries[i].places, min(at, last))
			}
		}
		at++ // a phrase does not reach from the subject into the body
	}
	b := make([]byte, 0, 16*total)
	for _, e := range entries {
		b = append(b, e.word...) // letters and digits: nothing to quote
		for i, p := range e.places {
			b = strconv.AppendInt(append(b, ":,"[min(i, 1)]), int64(p), 10)
		}
		b = append(b, ' ')
	}
	return string(b)
}
