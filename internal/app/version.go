package app

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// build names the program as it was built: its module version, else the commit.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value
		}
	}
	return cmp.Or(v, "unknown")
}

// readingVersion changes with whatever decides whether a mail can be read: what
// another one could not is tried again.
func (c Config) readingVersion() string { return fmt.Sprintf("%s, %d MB", build(), c.MaxMessage) }
