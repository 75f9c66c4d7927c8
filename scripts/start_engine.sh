#!/usr/bin/env bash
# Start a Docker daemon by hand where none answers and no service manager would start it (CI, bare machines).
#
#   scripts/start_engine.sh start    does nothing when an engine answers; else starts one and says its process id
#   scripts/start_engine.sh stop     ends the daemon that this script started, and no other
set -euo pipefail

state=${NUCSEG_ENGINE_STATE:-/run/nucseg-dockerd.pid}
log=${NUCSEG_ENGINE_LOG:-/var/log/nucseg-dockerd.log}

die() { printf 'start_engine: %s\n' "$*" >&2; exit 3; }
answers() { docker version >/dev/null 2>&1; }

case "${1:-start}" in
start)
    if answers; then echo "a container engine answers"; exit 0; fi
    [ "$(id -u)" = 0 ] || die "only root can start a Docker daemon. Try: sudo scripts/start_engine.sh"
    command -v dockerd >/dev/null || die "dockerd is missing. Try: apt-get install docker.io iptables"
    setsid dockerd >"$log" 2>&1 </dev/null &
    pid=$!
    for _ in $(seq 60); do
        if answers; then
            echo "$pid" >"$state"
            echo "started a container engine, process $pid, log $log"
            exit 0
        fi
        kill -0 "$pid" 2>/dev/null || { tail -n 5 "$log" >&2; die "dockerd ended at once; its log is $log"; }
        sleep 1
    done
    kill "$pid"
    die "dockerd did not answer within 60 s, and was ended; its log is $log"
    ;;
stop)
    [ -s "$state" ] || { echo "no engine of ours is running"; exit 0; }
    pid=$(cat "$state")
    # The id may have gone to another program since: end it only while it still is a dockerd.
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        kill "$pid"
        for _ in $(seq 30); do kill -0 "$pid" 2>/dev/null || break; sleep 1; done
    fi
    rm -f "$state"
    echo "stopped the container engine, process $pid"
    ;;
*) die "unknown word '$1'. Try: start or stop" ;;
esac
