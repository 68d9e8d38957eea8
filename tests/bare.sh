#!/usr/bin/env bash
# bare.sh 12|13: what a newcomer with a fresh Debian sees. Makes a bare installation in a folder of its own, clones HEAD
# into it, and runs tools/quickstart.sh and tools/test.sh there as a user who has nothing but sudo. Needs root,
# debootstrap and a network.
set -eu

case "${1-}" in
12) suite=bookworm ;;
13) suite=trixie ;;
*)
    echo "usage: tests/bare.sh 12|13" >&2
    exit 2
    ;;
esac

# All mounts and processes belong to namespaces that end with the second call of this script.
if [ $# = 1 ]; then
    [ "$(id -u)" = 0 ] || { echo "bare.sh: must be root, to make an installation" >&2; exit 1; }
    command -v debootstrap >/dev/null || { echo "bare.sh: needs debootstrap: apt-get install debootstrap" >&2; exit 1; }
    cd "$(dirname "$0")/.."
    bare=$(mktemp -d "${TMPDIR:-/var/tmp}/thaw-bare-XXXXXX")
    chmod 755 "$bare"
    trap 'rm -rf --one-file-system "$bare"' EXIT
    unshare --mount --pid --fork --kill-child "$PWD/tests/bare.sh" "$1" "$bare"
    exit
fi
bare=$2

timed() { # WHAT COMMAND...
    local what=$1 begun=$SECONDS code=0
    shift
    "$@" || code=$?
    printf '\n=== Debian %s: %s: %d s, exit code %d\n\n' "$suite" "$what" $((SECONDS - begun)) $code
    return $code
}

# From the mirror that this machine uses, with its way there.
install() {
    local mirror proxy=""
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" | grep -m 1 '/debian/*$' || echo http://deb.debian.org/debian)
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    http_proxy=${http_proxy-$proxy} debootstrap --variant=minbase --include=ca-certificates,git,sudo \
        "$suite" "$bare" "$mirror" >"$bare.log" 2>&1 || { tail "$bare.log"; return 1; }
    rm "$bare.log"
    apt-config dump | grep -E '^Acquire::(Check|https?::)' >"$bare/etc/apt/apt.conf.d/90machine" || true
    cp /etc/resolv.conf /etc/hosts "$bare/etc/"
    mount -t proc proc "$bare/proc"
    mount -t sysfs -o ro sysfs "$bare/sys"
    mount -t tmpfs tmpfs "$bare/dev/shm" # Open MPI's ranks share memory there
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$bare/dev/pts"
    chroot "$bare" useradd --create-home --shell /bin/bash newcomer
    echo "newcomer ALL=(ALL) NOPASSWD: ALL" >"$bare/etc/sudoers.d/newcomer"
}

# A command of the newcomer, in the clone.
as_newcomer() {
    chroot --userspec=newcomer:newcomer "$bare" /usr/bin/env -i HOME=/home/newcomer USER=newcomer LANG=C.UTF-8 \
        TERM=dumb PATH=/usr/local/bin:/usr/bin:/bin bash -c 'cd ~/thaw && "$@"' bash "$@"
}

mount --make-rprivate /
timed "bare installation" install
git clone --quiet --no-hardlinks . "$bare/home/newcomer/thaw"
chroot "$bare" chown -R newcomer:newcomer /home/newcomer/thaw
timed tools/quickstart.sh as_newcomer tools/quickstart.sh
timed "cmake --install" as_newcomer cmake --install build/release --prefix /home/newcomer/installed
timed tools/test.sh as_newcomer tools/test.sh
