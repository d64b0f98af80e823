#!/usr/bin/env bash
# Starts the test VM in the background and waits until it can be used. Changes of its disk are discarded when it ends,
# so that every start has the same clean system. The first start boots and saves the booted machine; later ones resume
# that within seconds. --boot, or ROOTLING_VM_BOOT=1, boots in any case. The VM is ended by stop.sh, or by itself after
# ROOTLING_VM_LIFETIME (3h).
# shellcheck source=hack/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=hack/vm/qemu.sh
. "$vm_scripts/qemu.sh"
# shellcheck source=hack/vm/container.sh
. "$vm_scripts/container.sh"

memory=4096 processors=2
# Of the modules of which there can be only one, the kernel starts the named one. The policy is loaded by systemd.
lsm=''
[[ -z $vm_variant ]] || lsm=' security=selinux selinux=1 enforcing=0'
# Without any progress, in seconds.
boot_limit=300 resume_limit=60

[[ -e $vm_image/complete ]] || vm_fail "no image; build it with $vm_scripts/build.sh"
! vm_running || vm_fail "runs already, as process $(<"$vm_run/pid")"
vm_find_qemu
vm_find_accel
saved=$vm_image/saved-$vm_accel
case $vm_accel in
kvm) cpu=(-accel kvm -cpu host) ;;
tcg)
    threads=multi
    vm_new_enough "$(vm_qemu_version "${vm_qemu[@]}")" || threads=single
    cpu=(-accel "tcg,thread=$threads,tb-size=512" -cpu "$vm_cpu")
    ;;
container) ;;
*) vm_fail "ROOTLING_VM_ACCEL is $vm_accel, not kvm, tcg or container" ;;
esac

# launch DISK SNAPSHOT [OPTION...]: starts QEMU in the background. SNAPSHOT is on or off.
launch() {
    local disk=$1 snapshot=$2
    shift 2
    rm -rf "$vm_run"
    mkdir -p "$vm_run"
    # The key of the image that is running, whatever the scripts make later.
    cp "$vm_image/key" "$vm_run/key"
    mkfifo -m 600 "$vm_run/monitor.in" "$vm_run/monitor.out"
    # The only network is ssh from this machine, on a free port. QEMU runs in a session of its own and under timeout: it
    # outlives this script, but only for a limited time.
    TMPDIR=$vm_run setsid timeout -k 10 "${ROOTLING_VM_LIFETIME:-3h}" "${vm_qemu[@]}" \
        -name rootling-vm -nodefaults -no-user-config "${vm_machine[@]}" -no-reboot -display none \
        "${cpu[@]}" -smp "$processors" -m "$memory" -kernel "$vm_image/kernel" -initrd "$vm_image/initrd" \
        -append "root=/dev/vda rootfstype=ext4 rw console=$vm_console loglevel=4 net.ifnames=0 mitigations=off panic=1$lsm" \
        -drive "file=$disk,if=virtio,format=raw,cache=unsafe,snapshot=$snapshot" \
        -netdev user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22 -device virtio-net-pci,netdev=net,romfile= \
        -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng \
        -serial "file:$vm_run/console" -chardev "pipe,id=monitor,path=$vm_run/monitor" -mon chardev=monitor,mode=control \
        "$@" </dev/null >"$vm_run/qemu.log" 2>&1 7>&- 8>&- 9>&- &
    echo $! >"$vm_run/pid"
    vm_qmp qmp_capabilities >/dev/null || return
    vm_qmp human-monitor-command '{"command-line": "info usernet"}' |
        jq -r . | awk '/HOST_FORWARD/ { print $4; exit }' >"$vm_run/port"
}

# Whether there is anything to wait for: a guest whose processor has failed hangs forever.
runs() { vm_running && [[ $(vm_qmp query-status | jq -r .status) != @(internal-error|guest-panicked|io-error) ]]; }

# What grows while a machine boots, however slowly: its console, and the operations of its disk.
progress() {
    stat -c %s "$vm_run/console"
    vm_qmp query-blockstats | jq '[.[].stats | .rd_operations + .wr_operations] | add'
}

# patiently SECONDS COMMAND...: gives up when the machine has made no progress for so long, or after an hour. A machine that
# others keep busy takes many times as long as an idle one.
patiently() {
    local limit=$1 last='' now end=0 last_end=$((SECONDS + 3600)) pid
    shift
    "$@" &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        now=$(progress)
        [[ $now == "$last" ]] || { last=$now end=$((SECONDS + limit)); }
        if ((SECONDS >= end || SECONDS >= last_end)) || ! runs; then
            kill "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.2
    done
    wait "$pid"
}

answers() {
    until timeout 15 ssh-keyscan -p "$(<"$vm_run/port")" -T 2 127.0.0.1 2>/dev/null | grep -q . &&
        timeout 60 "$vm_scripts/run.sh" root true 2>/dev/null; do sleep 0.2; done
}

# ready SECONDS: waits until root can log in, the boot is over and the user's manager is there; patiently.
ready() {
    patiently "$1" answers || return
    # shellcheck disable=SC2016 # for the shell in the VM
    patiently "$1" "$vm_scripts/run.sh" root 'systemctl is-system-running --wait >/run/boot-state
        until [ -S /run/user/1000/bus ]; do sleep 0.1; done' || return
    # The clock of a resumed machine shows when it was saved.
    "$vm_scripts/run.sh" root "date -s @$EPOCHREALTIME" >/dev/null
}

# There is neither a console nor a disk by which one could see that it makes progress.
ready_in_container() {
    # shellcheck disable=SC2016 # for the shell in the machine
    vm_rootling exec vm timeout "$boot_limit" sh -c 'systemctl is-system-running --wait >/run/boot-state
        until [ -S /run/user/1000/bus ]; do sleep 0.1; done' || return
    for _ in {1..20}; do
        ! timeout 15 "$vm_scripts/run.sh" root true 2>/dev/null || return 0
        sleep 0.2
    done
    return 1
}

# Saves the running machine and stops it.
save() {
    local status
    "$vm_scripts/run.sh" root 'sync; cat /usr/bin/bash /usr/bin/busybox /usr/bin/systemd-run >/dev/null; sleep 3'
    vm_hang_up
    sleep 1
    vm_qmp migrate-set-parameters '{"max-bandwidth": 8589934592}' >/dev/null
    vm_qmp migrate "$(jq -nc --arg uri "exec:zstd -1 -q >$(printf %q "$saved.new/state")" '{$uri}')" >/dev/null
    for _ in {1..240}; do
        status=$(vm_qmp query-migrate | jq -r .status)
        [[ $status != completed && $status != failed && $status != cancelled ]] || break
        sleep 0.5
    done
    "$vm_scripts/stop.sh" >/dev/null
    [[ $status == completed ]]
}

boot_and_save() {
    rm -rf "$saved.new" "$saved"
    mkdir "$saved.new"
    cp --sparse=always "$vm_image/disk" "$saved.new/disk"
    launch "$saved.new/disk" off && ready "$boot_limit" && save && mv "$saved.new" "$saved"
}

launched() {
    # After the boot, of which a policy may deny a part.
    [[ $vm_lsm != selinux-enforcing ]] || "$vm_scripts/run.sh" root 'setenforce 1'
    echo "vm: $1 in $((SECONDS - start)) s ($vm_accel), process $(<"$vm_run/pid")"
}

start=$SECONDS
if [[ $vm_accel == container ]]; then
    vm_start_container
    if ! ready_in_container; then
        cat "$vm_run/container.log" >&2
        "$vm_scripts/stop.sh" >/dev/null
        vm_fail "the system container has not booted in $boot_limit s"
    fi
    launched booted
    exit 0
fi
if [[ ${1:-} != --boot && ${ROOTLING_VM_BOOT:-} != 1 ]]; then
    # One process saves it, and others wait for that.
    exec 7>"$vm_image/lock"
    flock 7
    if [[ ! -d $saved ]]; then
        echo "vm: booting once to save the booted machine ($vm_accel)"
        boot_and_save || { "$vm_scripts/stop.sh" >/dev/null; echo 'vm: could not be saved; it will be booted'; }
        rm -rf "$saved.new"
    fi
    exec 7>&-
    if [[ -d $saved ]]; then
        if launch "$saved/disk" on -incoming "exec:zstd -dcq $(printf %q "$saved/state")" && ready "$resume_limit"; then
            launched resumed
            exit 0
        fi
        echo 'vm: does not resume; booting'
        "$vm_scripts/stop.sh" >/dev/null
    fi
fi
if launch "$vm_image/disk" on && ready "$boot_limit"; then
    launched booted
else
    tail -n 20 "$vm_run/console" "$vm_run/qemu.log" >&2 || true
    "$vm_scripts/stop.sh" >/dev/null
    vm_fail "does not boot, and has made no progress for $boot_limit s, see above"
fi
