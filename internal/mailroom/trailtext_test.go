package mailroom_test

import (
	"slices"
	"testing"

	"mailroom/internal/mailroom"
)

func TestSought(t *testing.T) {
	type terms = mailroom.FindTerms
	for text, want := range map[string][]terms{
		"<>":                                {},
		"Message-ID:":                       {},
		"  ":                                nil,
		"Kennismaking  op donderdag":        {{Subject: "Kennismaking op donderdag"}},
		"Subject: CV Carla":                 {{Subject: "CV Carla"}},
		"Re: 3 @ 4 uur":                     {{Subject: "Re: 3 @ 4 uur"}},
		"<a.b.c@home.example>":              {{MessageID: "a.b.c@home.example"}},
		"Message-ID: <x1@home.example>":     {{MessageID: "x1@home.example"}},
		"Carla@Home.example":                {{MessageID: "Carla@Home.example"}, {From: "carla@home.example"}},
		"Carla Meijer <carla@Home.example>": {{From: "carla@home.example"}},
		"From: Carla <carla@home.example>":  {{From: "carla@home.example"}},
		"20261123.1@[10.0.0.1]":             {{MessageID: "20261123.1@[10.0.0.1]"}, {From: "20261123.1@[10.0.0.1]"}},
		"a@@b":                              {{MessageID: "a@@b"}},
	} {
		if got := mailroom.Sought(text); !slices.Equal(got, want) {
			t.Errorf("%q is read as %+v, want %+v", text, got, want)
		}
	}
}
