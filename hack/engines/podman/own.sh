#!/usr/bin/env bash
# Scenarios of podman.sh: options and commands that Docker does not have.
# shellcheck disable=SC2016 # commands are for the shell of the scenario

own() {
    check '--uidmap' '^ +0 +1 +500$' 'podman run --rm --uidmap 0:1:500 --gidmap 0:1:500 box cat /proc/self/uid_map'
    check '--userns keep-id' "^$EUID\$" 'podman run --rm --userns keep-id box id -u'
    check '-v O' '^over$' 'podman run --rm -v "$DIR/ro:/ro:O" box sh -c "echo over >/ro/file; cat /ro/file"'
    check '-v O leaves the source' '^from-host$' 'cat "$DIR/ro/file"'
    check '--rootfs' '^inside$' 'mkdir "$DIR/rootfs" && tar -C "$DIR/rootfs" -xf "$DIR/box.tar" &&
        podman run --rm --rootfs "$DIR/rootfs" echo inside'
    check '--umask' '^0027$' 'podman run --rm --umask 0027 box sh -c umask'
    check '--cap-add for a user' '^CapEff:.0000000000000400$' \
        'podman run --rm -u 1000 --cap-add net_bind_service box grep CapEff /proc/self/status'
    check '--cgroups=disabled' status=0 'podman run --rm --net none --cgroups=disabled box true'
    check '--preserve-fds' '^through-3$' 'podman run --rm --preserve-fds 1 box sh -c "cat <&3" 3<<<through-3'
    created
    health
    checkpoint
    ((EUID)) || return 0
    check '--userns auto' '^ +0 +[0-9]+ +1024$' 'podman run --rm --userns auto:size=1024 box cat /proc/self/uid_map'
    check '--group-add keep-groups' status=0 'podman run --rm --group-add keep-groups box id'
    check '--net slirp4netns' '^tap0$' 'podman run --rm --net slirp4netns box ls /sys/class/net'
    check '--net pasta' '^eth0$' 'podman run --rm --net pasta box ls /sys/class/net'
}

created() {
    check 'init' '^initialized ' "podman create --name init --net none box echo ran && podman init init; $(state init)"
    check 'start -a after init' '^ran$' 'podman start -a init'
    check 'rm after init' status=0 'podman create --name second --net none box true && podman init second &&
        podman rm -f -t 0 second init'
}

health() {
    web
    check 'healthcheck' status=0 'podman healthcheck run web'
    check 'healthcheck: unhealthy' status=1 'podman exec web rm /tmp/healthy; podman healthcheck run web'
}

# An ordinary user gets a reason. For root it works where CRIU fits to the kernel.
checkpoint() {
    if ((EUID)); then
        check 'checkpoint' 'checkpoint.*(root|CRIU|support)' 'podman container checkpoint web'
    else
        check 'checkpoint' '^running |Error: .*([Cc][Rr][Ii][Uu]|checkpoint)' "podman container checkpoint web &&
            podman container restore web && $(state web)"
    fi
    check 'rm -f' status=0 'podman rm -f -t 0 web'
}
