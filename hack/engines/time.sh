#!/usr/bin/env bash
# Times `run --rm` of `true` under the engines with rootling and with crun, in turns: time.sh RUNTIME [ENGINE...]
# ENGINE is podman or docker, both where none is named; as whoever calls it.
#   ROOTLING_ENGINES_OTHER  the runtime to compare with (/usr/bin/crun)
#   ROOTLING_ENGINES_PAIRS  how many of each (20)
set -euo pipefail
engines=$(cd "$(dirname "$0")" && pwd)
runtime=${1:?usage: time.sh RUNTIME [ENGINE...]}
shift
(($#)) || set -- podman docker
for engine; do
    case $engine in
    podman) "$engines/podman.sh" "$runtime" systemd pairs ;;
    docker) "$engines/docker.sh" "$runtime" pairs ;;
    *) echo "time.sh: no engine is called $engine; there are podman and docker" >&2 && exit 2 ;;
    esac | grep -E '^(FAILED|  |[a-z]+ run )'
done
