#!/usr/bin/env bash
# The ordinary user that the tests, the demo and the benchmark drop to when root starts them.
#   user.sh             make it if it is absent, print its uid
#   user.sh --remove    remove it with its home, its ranges and its processes
# ROOTLING_TEST_USER names another user.
set -euo pipefail

user=${ROOTLING_TEST_USER:-rootling-test}
range=65536

if ((EUID != 0)); then
    echo "user.sh: only root can make the user $user" >&2
    exit 1
fi
# Tests run in parallel, and each may be the first one to need the user.
exec 9>"/run/$user.lock"
flock 9

if [[ ${1:-} == --remove ]]; then
    uid=$(id -u "$user" 2>/dev/null) || exit 0
    pkill -KILL -U "$uid" || true
    userdel --force --remove "$user" 2>/dev/null || true
    # Removes ranges that were added by hand, or by a useradd that userdel does not know about.
    sed -i "/^$user:/d" /etc/subuid /etc/subgid
    rm -rf "/run/user/$uid" "/run/$user.lock"
    exit 0
fi

# Prints the first id after every range in FILE; two users must never share one.
free_start() {
    awk -F: '{ end = $2 + $3; if (end > max) max = end } END { print (max > 100000 ? max : 100000) }' "$1"
}
add_range() { # add_range FILE OPTION
    touch "$1"
    grep -q "^$user:" "$1" && return
    local start
    start=$(free_start "$1")
    usermod "$2" "$start-$((start + range - 1))" "$user"
}

id -u "$user" >/dev/null 2>&1 || useradd --create-home --user-group --shell /bin/sh "$user"
add_range /etc/subuid --add-subuids
add_range /etc/subgid --add-subgids
uid=$(id -u "$user")
chmod 0700 "$(getent passwd "$user" | cut -d: -f6)"
# Makes what a login session would have made: XDG_RUNTIME_DIR.
install -d -m 0755 /run/user
install -d -m 0700 -o "$user" -g "$user" "/run/user/$uid"
echo "$uid"
