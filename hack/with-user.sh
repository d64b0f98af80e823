#!/usr/bin/env bash
# To be sourced by scripts that need an ordinary user. Gives them:
#   as_user COMMAND...   runs it as the ordinary user: the test user if root is the caller, otherwise the caller
#   on_exit COMMAND...   runs it when the script ends for any reason, the latest one first
# The test user is removed at the end if root made it here.

exit_commands=()
on_exit() { exit_commands=("$(printf '%q ' "$@")" "${exit_commands[@]}"); }
run_exit_commands() {
    local status=$? command
    for command in "${exit_commands[@]}"; do eval "$command" || true; done
    exit "$status"
}
trap run_exit_commands EXIT
# A signal must end the script through the EXIT trap, with the corresponding exit code.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

hack=$(dirname "${BASH_SOURCE[0]}")
if ((EUID == 0)); then
    user=${ROOTLING_TEST_USER:-rootling-test}
    id -u "$user" >/dev/null 2>&1 || on_exit "$hack/user.sh" --remove
    uid=$("$hack/user.sh")
    home=$(getent passwd "$uid" | cut -d: -f6)
    gid=$(getent passwd "$uid" | cut -d: -f4)
    as_user() {
        setpriv --reuid "$uid" --regid "$gid" --clear-groups -- env -i HOME="$home" USER="$user" \
            TERM="${TERM:-dumb}" PATH="$PATH" XDG_RUNTIME_DIR="/run/user/$uid" "$@"
    }
else
    as_user() { "$@"; }
fi
