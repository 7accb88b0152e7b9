package mailroom_test

import (
	"testing"
	"unicode/utf8"

	"mailroom/internal/mailroom"
)

func TestFolderNamesThatAreNotTextAreKeptWhole(t *testing.T) {
	keys := map[string]int{}
	for raw, want := range map[string]string{
		"INBOX": "INBOX", "Werk/R&AOk-s": "Werk/R&AOk-s", "Été": "Été", "100% sure": "100% sure", "%": "%", "": "",
		"R\xe9sum\xe9": "%%R%E9sum%E9", "a\x00b": "%%a%00b", "%%41": "%%%25%2541", "%%": "%%%25%25", "\xff /%": "%%%FF%20/%25",
	} {
		key := mailroom.FolderKey(raw)
		if key != want || !utf8.ValidString(key) {
			t.Errorf("%q is kept as %q, want %q", raw, key, want)
		}
		if back := mailroom.FolderBytes(key); back != raw {
			t.Errorf("%q came back as %q", raw, back)
		}
		if keys[key]++; keys[key] > 1 {
			t.Errorf("two folders have the key %q", key)
		}
	}
	// No key of ours, whatever it is.
	if v := mailroom.FolderBytes("%%ab%Z"); v != "%%ab%Z" {
		t.Errorf("%q", v)
	}
}
