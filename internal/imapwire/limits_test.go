package imapwire

import (
	"fmt"
	"strings"
	"testing"
)

func TestEveryLimitIsATypedError(t *testing.T) {
	tight := Limits{Response: 2000, Token: 100, Text: 50, Literal: 1000, Depth: 5, Items: 20, Numbers: 10, Names: 3, Responses: 50}
	for _, tc := range []struct{ what, script string }{
		{"Response", `R: "* X ` + strings.Repeat("a ", 5000) + `\r\n"`},
		{"Response", `R: "* X ` + strings.Repeat("a ", 1100) + `\r\n"`}, // less than a buffer
		{"Response", `R: "` + strings.Repeat("stray ", 2000) + `\r\n"`},
		{"Response", `R: "* OK ` + strings.Repeat("text ", 2000) + `\r\n"`},
		{"Token", `R: "* LIST () \"/\" \"` + strings.Repeat("a", 101) + `\"\r\n"`},
		{"Token", `R: "* LIST () \"/\" ` + strings.Repeat("a", 101) + `\r\n"`},
		{"Token", `R: "* LIST () \"/\" {101}\r\n"`},
		{"Token", `R: "* ` + strings.Repeat("A", 101) + `\r\n"`},
		{"Token", `R: "* 1 FETCH (BODY[` + strings.Repeat("A", 101) + `] NIL)\r\n"`},
		{"Literal", `R: "* 1 FETCH (BODY[] {1001}\r\n"`},
		{"Literal", `R: "* X-UNKNOWN {1001}\r\n"`},
		{"Literal", `R: "* 1 FETCH (BODY[] {99999999999999999}\r\n"`},
		{"Depth", `R: "* 1 FETCH (X ((((((((((NIL))))))))))\r\n"`},
		{"Items", `R: "* FLAGS (` + strings.Repeat("a ", 21) + `)\r\n"`},
		{"Items", `R: "* CAPABILITY ` + strings.Repeat("a ", 21) + `\r\n"`},
		{"Items", `R: "* 1 FETCH (` + strings.Repeat("UID 1 ", 21) + `)\r\n"`},
		{"Numbers", `R: "* SEARCH ` + strings.Repeat("1 ", 11) + `\r\n"`},
		{"Numbers", `R: "* ESEARCH (TAG \"x\") UID ALL ` + strings.Repeat("1,", 11) + `1\r\n"`},
		{"Numbers", `R: "* VANISHED ` + strings.Repeat("1:2,", 11) + `1\r\n"`},
		{"Names", `R: "` + strings.Repeat(`* LIST () \"/\" a\r\n`, 4) + `"`},
		{"Responses", `R: "` + strings.Repeat(`* 1 EXISTS\r\n`, 51) + `"`},
	} {
		c := open(t, "", "C: {a} LIST \"\" \"*\"\n"+tc.script, func(o *Options) { o.Limits = tight })
		_, err := c.List(ListOptions{}).Wait(t.Context())
		e := wantErr[*LimitError](t, err)
		wantErr[*ConnError](t, err)
		if e.What != tc.what {
			t.Errorf("%.60s… exceeds %s, want %s", tc.script, e.What, tc.what)
		}
	}
}

func TestTextIsCutNotFatal(t *testing.T) {
	c := open(t, "", "C: {a} NOOP\nS: {a} NO "+strings.Repeat("long ", 100)+"\n"+aliveScript, func(o *Options) { o.Limits.Text = 50 })
	_, err := c.Noop().Wait(t.Context())
	if e := wantErr[*ResponseError](t, err); len(e.Text) > 50 || !strings.HasPrefix(e.Text, "long long") {
		t.Errorf("text %q", e.Text)
	}
	alive(t, c)
}

func TestWithinTheLimitsMuchIsAllowed(t *testing.T) {
	const many = 100_000
	var nums strings.Builder
	for i := range many {
		fmt.Fprintf(&nums, " %d", 2*i+1)
	}
	c := open(t, "", "C: {a} UID SEARCH ALL\nS: * SEARCH"+nums.String()+"\nS: {a} OK\nC: {b} UID FETCH 1 (UID)\nS: * 1 FETCH (UID 1 FLAGS ("+strings.Repeat("a ", 9000)+"))\nS: {b} OK\n")
	if r := wait(t, c.UIDSearch(Criteria{}, false)); r.UIDs.Len() != many {
		t.Errorf("%d found", r.UIDs.Len())
	}
	var g got
	wait(t, c.UIDFetch(UIDs(1), FetchItems{}, g.handler()))
	if len(g.msgs[0].Flags) != 9000 {
		t.Errorf("%d flags", len(g.msgs[0].Flags))
	}
}
