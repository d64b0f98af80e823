#!/usr/bin/env bash
# Runs the integration tests in a VM with cgroup v2 and systemd: test.sh [RUN...]
# The runs, all where none is named:
#   user-systemd     an ordinary user in a login session, with --systemd-cgroup
#   user-delegated   an ordinary user in a scope whose cgroup is delegated to him
#   root             root, cgroups by path
#   root-systemd     root, with --systemd-cgroup
# ROOTLING_VM_TESTS='cgroup* run' selects test files, for all of the runs; ROOTLING_VM_MINUTES (50)
# bounds all of it but the building of image and programs. The logs come to target/vm.
# shellcheck source=hack/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=hack/vm/machine.sh
. "$vm_scripts/machine.sh"
cd "$vm_scripts/../.."

runs=("$@")
(($#)) || runs=(user-systemd user-delegated root root-systemd)
minutes=${ROOTLING_VM_MINUTES:-50}
target=${CARGO_TARGET_DIR:-$PWD/target}
binary=$(realpath "${ROOTLING_BIN:-$(hack/binary.sh)}")
# Emulation is slow, so each file is where it shows most. In all runs are those that who makes the cgroups
# matters to; those that go through all ways to a cgroup by themselves are in one of each user, and what is
# about words and files alone is not root's.
common='cgroup concurrency exec lifecycle ps run'
# What shows nothing there that it does not show elsewhere, and takes an hour where the processor is emulated: each system
# call denied, each call of a launch failed, and races, which want two real processors.
but='seccomp_denied waits faults attack_races attack_mount_races attack_device_races security_docs contributing_docs docs_commands state_faults kills_of_helpers races exhaustion link_order'
all=$(for file in tests/tests/*.rs; do basename "$file" .rs; done | grep -vxF "${but// /$'\n'}" | tr '\n' ' ')
declare -A files=(
    [user-delegated]="$all"
    [user-systemd]="$common attack_annotations attack_descriptors kills process stress"
    [root]="$common apparmor attack_checkpoint attack_cgroups attack_devices attack_proc attack_state attack_users cgroup_* cli devices events exec_* hooks idmap_mounts kills mount* namespaces pause
        process rootfs* scheduling seccomp security stats terminal update user_namespace"
    [root-systemd]="$common attack_annotations attack_descriptors"
)

step hack/vm/build.sh
echo 'vm: building the test programs'
# Tests, and beside their directory, as cargo has them, the programs that they put into containers.
programs=$(cargo test --locked --no-run --tests -p rootling-tests --message-format json |
    jq -r 'select(.executable) | if .profile.test then select(.target.kind | index("test")) | "tests/" + .target.name
        else .target.name end + " " + .executable')
# Static programs: they run in the VM as they are. Without debugging information they are a tenth.
mkdir "$stage/tests"
while read -r name program; do strip --strip-debug -o "$stage/$name" "$program"; done <<<"$programs"
install -m 0755 "$binary" "$stage/rootling"
cp -r hack "$stage/hack"
mkdir "$stage/docs"
cp -r docs/cli docs/embedding.md "$stage/docs"
chmod -R go+rX "$stage"

start=$SECONDS
step hack/vm/start.sh
step timeout 300 hack/vm/put.sh root /opt/rootling "$stage"/*

rm -rf "$target/vm"
failed=0
for run in "${runs[@]}"; do
    left=$((start + minutes * 60 - SECONDS))
    suite=(/opt/rootling/hack/vm/suite.sh --only "${ROOTLING_VM_TESTS:-${files[$run]:-*}}" --seconds "$left")
    user=rootling
    case $run in
    user-systemd) suite=(env ROOTLING_TEST_FLAGS=--systemd-cgroup "${suite[@]}" --without ::root) ;;
    user-delegated) suite=(systemd-run --user --scope --quiet -p Delegate=yes "${suite[@]}" --without ::root --leaf) ;;
    root) user=root suite+=(--without ::user) ;;
    root-systemd) user=root suite=(env ROOTLING_TEST_FLAGS=--systemd-cgroup "${suite[@]}" --without ::user) ;;
    *) vm_fail "no run is called $run; there are user-systemd, user-delegated, root and root-systemd" ;;
    esac
    printf '\n== in the VM: %s\n' "$run"
    results=/tmp/results-$run
    ok=true
    # As much time as the suite has, and some to say what it did not come to.
    step timeout -k 10 "$((left > 0 ? left + 60 : 60))" \
        hack/vm/run.sh "$user" "$(printf '%q ' "${suite[@]}" /opt/rootling "$results")" || ok=false
    step timeout 120 hack/vm/get.sh "$user" "$results" "$target/vm/$run" || ok=false
    $ok && continue
    failed=1
    # A run that could not say itself that it failed.
    if ! awk -F '\t' '$3 { found = 1 } END { exit !found }' "$target/vm/$run/summary" 2>/dev/null; then
        echo "  $run did not come to its end"
        mkdir -p "$target/vm/$run"
        printf '%s\t0\t1\t0\n' "$run" >>"$target/vm/$run/summary"
    fi
done

summaries=("$target"/vm/*/summary)
printf '\nTime in the VM: %d s. Logs: %s\n' "$((SECONDS - start))" "$target/vm"
awk -F '\t' '{ passed += $2; failed += $3; skipped += $4 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "${summaries[@]}"
exit "$failed"
