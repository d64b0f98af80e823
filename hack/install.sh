#!/usr/bin/env bash
# Installs the programs with all that belongs to them, or removes that: install.sh install|uninstall
#   BINARY    the runtime to install, and to ask for its pages and profiles (target/rootling); the program for
#             images lies beside it, called the same with -image
#   ROOTLING_RUNNER  what runs the programs, where they are for another architecture
#   PREFIX    what the files are below (/usr/local)
#   DESTDIR   put before everything, for a package
#   APPARMOR  whether the AppArmor profile is installed: yes, no, or auto. It belongs to the machine, so that
#             auto is yes for a package, and else where root installs beside an AppArmor that can read it
set -euo pipefail

cd "$(dirname "$0")/.."
fail() { echo "install: $*" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

action=${1:-}
binary=${BINARY:-target/rootling}
image=$binary-image
runner=()
[[ -z ${ROOTLING_RUNNER:-} ]] || runner=("$ROOTLING_RUNNER")
prefix=${PREFIX:-/usr/local} destdir=${DESTDIR:-}
[[ $prefix == /* ]] || fail "PREFIX=$prefix is not an absolute path: give the whole path"
[[ -z $destdir || $destdir == /* ]] || destdir=$PWD/$destdir
prefix=${prefix%/}
share=$destdir$prefix/share
program=$prefix/bin/rootling
profile=$destdir/etc/apparmor.d/rootling

wants_profile() {
    case ${APPARMOR:-auto} in
    yes) return 0 ;;
    no) return 1 ;;
    auto) [[ -n $destdir ]] || { ((EUID == 0)) && [[ -e /etc/apparmor.d/abi/4.0 ]]; } ;;
    *) fail "APPARMOR=$APPARMOR: is none of yes, no, auto" ;;
    esac
}
# Whether the existing profile is the one for this PREFIX; another one, from a package, is kept.
is_ours() { grep -qsF "$("${runner[@]}" "$1" profile apparmor --program "$program" | grep '^profile')" "$profile"; }

# Tells the kernel, but only on this machine and with AppArmor enabled.
load() { # load OPTION: of apparmor_parser(8)
    [[ -z $destdir && $(cat /sys/module/apparmor/parameters/enabled 2>/dev/null) == Y ]] || return 0
    apparmor_parser "$1" "$profile" || echo "install: $profile is not loaded, see above" >&2
}

put() { install -D -m "$1" "$2" "$3"; } # put MODE SOURCE DESTINATION
out() { # out DESTINATION PROGRAM ARGUMENT...: what a program prints
    local to=$1
    shift
    "${runner[@]}" "$@" >"$work/out"
    put 0644 "$work/out" "$to"
}

install_all() {
    local file
    for file in "$binary" "$image"; do
        [[ -x $file ]] || fail "there is no $file: run make build"
    done
    put 0755 "$binary" "$destdir$program"
    put 0755 "$image" "$destdir$program-image"
    "${runner[@]}" "$binary" man --dir "$work/pages"
    "${runner[@]}" "$image" man --dir "$work/pages"
    for file in "$work/pages"/*; do put 0644 "$file" "$share/man/man8/${file##*/}"; done
    for file in "$binary" "$image"; do
        local name=rootling${file#"$binary"}
        out "$share/bash-completion/completions/$name" "$file" completion bash
        out "$share/zsh/site-functions/_$name" "$file" completion zsh
        out "$share/fish/vendor_completions.d/$name.fish" "$file" completion fish
    done
    out "$share/rootling/seccomp.json" "$binary" profile seccomp
    while IFS= read -r file; do
        put 0644 "$file" "$share/doc/rootling/$file"
    done < <(find README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE docs -type f)
    if ! wants_profile; then
        return
    elif [[ -e $profile ]] && ! is_ours "$binary"; then
        echo "install: $profile is for another program and stays; for this one see: rootling doctor" >&2
    else
        out "$profile" "$binary" profile apparmor --program "$program"
        load -r
    fi
}

# Removes what install_all may put anywhere. Directories that other programs use as well are kept.
uninstall_all() {
    if [[ -x $destdir$program ]] && is_ours "$destdir$program"; then
        load -R
        rm -f "$profile"
    fi
    rm -f "$destdir$program"{,-image} "$share"/man/man8/rootling{,-*}.8 \
        "$share"/bash-completion/completions/rootling{,-image} "$share"/zsh/site-functions/_rootling{,-image} \
        "$share"/fish/vendor_completions.d/rootling{,-image}.fish
    rm -rf "$share/rootling" "$share/doc/rootling"
}

umask 022
case $action in
install) install_all ;;
uninstall) uninstall_all ;;
*) fail 'usage: install.sh install|uninstall' ;;
esac
