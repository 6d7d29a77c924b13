#!/bin/sh
# Builds a Debian root with GIMP for the tests of the plug-in, once; prints its path as the last line.
#
# usage: build_root.sh trixie (GIMP 3.0) or forky (GIMP 3.2)
#
# It lies outside the checkout, in ${XDG_CACHE_HOME:-$HOME/.cache}/alphadrop/gimp-SUITE, and takes about 700 MB. It is
# built under a temporary name and renamed when it is whole, so that a root of that name can be used.
# Exit status: 0 it is there, 3 something this machine lacks (said on stderr), any other: the build failed.
set -eu

suite=${1:?which suite: trixie or forky}
packages=gimp,xvfb,xdotool
# The picture of the dialog in Chinese is taken in the newer one.
[ "$suite" = trixie ] || packages=$packages,fonts-droid-fallback
cache=${XDG_CACHE_HOME:-$HOME/.cache}/alphadrop
root=$cache/gimp-$suite

say() { printf 'build_root: %s\n' "$1" >&2; }
missing() { say "missing: $1"; exit 3; }

if [ -d "$root" ]; then
    say "there already; remove the folder to have it built again"
    echo "$root"
    exit 0
fi

[ "$(id -u)" = 0 ] || missing "root's rights (run it as root)"
for program in mmdebstrap flock apt-get; do
    command -v "$program" >/dev/null || missing "$program (apt-get install $program)"
done

mkdir -p "$cache"
exec 9>"$cache/gimp-$suite.lock"
flock 9
if [ -d "$root" ]; then
    say "built meanwhile by another process"
    echo "$root"
    exit 0
fi

# The mirror that this machine itself installs from: the one that has its own release.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
mirror=$(apt-get indextargets --format '$(CODENAME) $(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v own="$codename" '($1 == own || $2 == own) && $3 == "main" { print $4; exit }')
[ -n "$mirror" ] || missing "a Debian mirror with $codename main in this machine's apt sources"

# Under the lock, what lies there half built was left by a process that was killed.
rm -rf --one-file-system "$cache/.gimp-$suite".??????
work=$(mktemp -d "$cache/.gimp-$suite.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 1' INT TERM HUP
say "building $root: a minute or more"
mmdebstrap --quiet --variant=apt --skip=check/qemu \
    --aptopt='APT::Install-Recommends "false"' \
    --aptopt='Acquire::Languages "none"' \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/help/*' \
    --include="$packages" \
    "$suite" "$work/root" "$mirror" >&2 9>&-
mkdir -p "$work/root/mnt" "$work/root/proc"
mv -T "$work/root" "$root"
say "built"
echo "$root"
