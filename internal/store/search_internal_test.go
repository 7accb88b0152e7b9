package store

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatIsTypedIsNeverAnOperator(t *testing.T) {
	for query, want := range map[string][2]string{
		"":                       {"", ""},
		`"  - * :`:               {"", ""},
		"Café":                   {`"cafe"*`, `('cafe':*)`},
		"jan@x.example cv":       {`"jan x example"* "cv"*`, `('jan' <-> 'x' <-> 'example':*) & ('cv':*)`},
		`"drie woorden hier" en`: {`"drie woorden hier" "en"*`, `('drie' <-> 'woorden' <-> 'hier') & ('en':*)`},
		`a OR b NEAR(c) ^d`:      {`"a"* "or"* "b"* "near c"* "d"*`, `('a':*) & ('or':*) & ('b':*) & ('near' <-> 'c':*) & ('d':*)`},
		`x' | !y & 'z\`:          {`"x"* "y"* "z"*`, `('x':*) & ('y':*) & ('z':*)`},
	} {
		terms := searchTerms(query)
		if v := [2]string{fts5query(terms), tsquery(terms)}; v != want {
			t.Errorf("%q becomes %q, want %q", query, v, want)
		}
	}
	if n := len(searchTerms(strings.Repeat("woord ", 1000))); n > 20 {
		t.Errorf("%d terms", n)
	}
}

func TestVectorOfAText(t *testing.T) {
	parts := strings.Fields(tsvector("Re: Café, café!", "b", "x 12:30"))
	slices.Sort(parts)
	if v := strings.Join(parts, " "); v != "12:8 30:9 b:5 cafe:2,3 re:1 x:7" {
		t.Errorf("%s", v)
	}
	long := tsvector(strings.Repeat("a ", 20_000) + strings.Repeat("z", 5000))
	if strings.Count(long, ",") != 254 || strings.Contains(long, "z") || strings.Contains(long, "16384") {
		t.Errorf("%d positions of one word", strings.Count(long, ",")+1)
	}
}

func TestTextIsFitForBothEngines(t *testing.T) {
	for in, want := range map[string]string{"": "", "gewoon é": "gewoon é", "a\x00b": "ab", "a\xffb": "a\uFFFDb", "half \xe2\x82": "half \uFFFD"} {
		if v := clean(in); v != want {
			t.Errorf("%q becomes %q, want %q", in, v, want)
		}
	}
	for _, n := range []int{0, 1, 2, 3, 4, 5, 100} {
		if v := cut("é€x", n); len(v) > n || !strings.HasPrefix("é€x", v) || strings.ContainsRune(v, '\uFFFD') {
			t.Errorf("cut at %d: %q", n, v)
		}
	}
}
