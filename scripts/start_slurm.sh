#!/usr/bin/env bash
# A Slurm of one node by hand, with accounting and enforced memory limits: for the tests (CI, bare machines), not for work.
#
#   scripts/start_slurm.sh start    does nothing when a controller answers; else configures and starts one
#   scripts/start_slurm.sh stop     ends what this script started, and nothing else
#
# Debian: apt-get install slurm-wlm slurmdbd mariadb-server
set -euo pipefail

state=/var/lib/nucseg-slurm
conf=/etc/slurm
mark="# Written by nucseg's scripts/start_slurm.sh"
node=$(hostname -s)

die() { printf 'start_slurm: %s\n' "$*" >&2; exit 3; }
answers() { sinfo >/dev/null 2>&1; }

wait_for() { # SECONDS WHAT COMMAND...
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    die "$what does not answer after $seconds s; the logs are in $state/log"
}

configure() {
    # Version 1, which needs no systemd, also where version 2 is mounted beside it.
    cat >"$conf/cgroup.conf" <<CONF
$mark
CgroupPlugin=cgroup/v1
ConstrainRAMSpace=yes
CONF
    cat >"$conf/slurmdbd.conf" <<CONF
$mark
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
LogFile=$state/log/slurmdbd.log
PidFile=$state/slurmdbd.pid
CONF
    chmod 600 "$conf/slurmdbd.conf"
    cat >"$conf/slurm.conf" <<CONF
$mark
ClusterName=nucseg
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/node
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/log/slurmctld.log
SlurmdLogFile=$state/log/slurmd.log
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=2
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# A test waits for a killed task, and for a time limit that is passed.
KillWait=5
OverTimeLimit=0
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=0
NodeName=$node NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
    if answers; then echo "a Slurm controller answers"; return; fi
    [ "$(id -u)" = 0 ] || die "only root can start Slurm's daemons. Try: sudo scripts/start_slurm.sh"
    for program in slurmctld slurmd slurmdbd munged mariadbd; do
        command -v $program >/dev/null || die "$program is missing; the head of this script names the Debian packages"
    done
    [ -d /sys/fs/cgroup/memory ] || die "memory limits are set by cgroup v1 here, and this machine mounts none of its kind"
    if [ -e $conf/slurm.conf ] && ! grep -qF "$mark" $conf/slurm.conf; then
        die "$conf/slurm.conf is not ours. Try: start that Slurm, or move the file away"
    fi
    mkdir -p $conf $state/controller $state/node $state/log
    configure
    install -d -o munge -g munge -m 0755 /run/munge
    install -d -o mysql -g mysql /run/mysqld
    if ! munge -n >/dev/null 2>&1; then
        setpriv --reuid=munge --regid=munge --clear-groups munged --pid-file=/run/munge/munged.pid
        ln -sf /run/munge/munged.pid $state/munged.pid
    fi
    if ! mysqladmin ping >/dev/null 2>&1; then
        setsid mariadbd --user=mysql --skip-networking --innodb-buffer-pool-size=64M >$state/log/mariadbd.log 2>&1 </dev/null &
        echo $! >$state/mariadbd.pid
    fi
    wait_for 60 mariadbd mysqladmin ping
    slurmdbd
    wait_for 60 slurmdbd sacctmgr --noheader list cluster
    slurmctld
    wait_for 60 slurmctld answers
    slurmd -N "$node"
    wait_for 60 slurmd sh -c "sinfo --noheader --states=idle | grep -q ."
    echo "started Slurm, one node $node; logs in $state/log"
}

stop() {
    for program in slurmd slurmctld slurmdbd mariadbd munged; do
        [ -s $state/$program.pid ] || continue
        pid=$(cat $state/$program.pid)
        # The id may have gone to another program since.
        if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = $program ]; then
            kill "$pid"
            for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
            echo "stopped $program, process $pid"
        fi
        rm -f $state/$program.pid
    done
}

case "${1:-start}" in
start) start ;;
stop) stop ;;
*) die "unknown word '$1'. Try: start or stop" ;;
esac
