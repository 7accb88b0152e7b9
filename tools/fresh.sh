#!/bin/sh
# Fails if a generated file is not what its source gives. It writes the right one,
# so that what is left to do is to commit it.
set -eu
cd "$(dirname "$0")/.."

state() { find . -name node_modules -prune -o -name '*_templ.go' -type f -exec cksum {} + | sort -k 3; }

# Line marks hold the path beneath -path: make generate says the same one.
before=$(state)
go tool templ generate -path templates -log-level error
if [ "$before" != "$(state)" ]; then
	echo "generated files were stale; they are fresh now, commit them:" >&2
	git status --short -- '*_templ.go' >&2
	exit 1
fi
