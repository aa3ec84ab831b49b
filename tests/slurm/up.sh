#!/usr/bin/env bash
# Starts a real SLURM for the tests: one controller, two slurmd's and accounting on this machine. Debian 12, root.
# Idempotent: one that is up and healthy is left as it is, one that is half dead is taken down and started afresh.
# Refuses a folder that it did not make. Then:  export SLURM_CONF=/var/lib/paa-slurm/etc/slurm.conf
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./cluster.sh
[ "$(id -u)" = 0 ] || die "needs root: it installs SLURM's packages and starts its daemons"
locked ./up.sh "$@"
ours || die "$LAB is not a folder that this script made; PAA_SLURM_DIR=DIR names another"

tails() { local f; for f in "$LAB"/log/*; do [ ! -s "$f" ] || { echo "--- $f" >&2; tail -n 15 "$f" >&2; }; done; }
failed() { tails; die "could not start $*"; }
wait_for() { # wait_for SECONDS WHAT COMMAND...
  local end=$((SECONDS + $1)) what=$2; shift 2
  until timeout 5 "$@" >/dev/null 2>&1; do [ $SECONDS -lt "$end" ] || failed "$what in time"; sleep 0.1; done
}

# ---- packages; while they are installed, their own scripts start no daemon ----
wanted="munge slurmctld slurmd slurm-client slurmdbd mariadb-server"
missing=""
for p in $wanted; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"; done
if [ -n "$missing" ]; then
  say "installs:$missing"
  made=0
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; made=1; }
  log=$(mktemp); done=1
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } \
    >"$log" 2>&1 </dev/null || done=0
  [ $made = 0 ] || rm -f /usr/sbin/policy-rc.d
  [ $done = 1 ] || { tail -n 30 "$log" >&2; die "apt-get could not install$missing"; }
  rm -f "$log"
fi

# ---- up already? ----
nodes_that_work() { timeout 5 sinfo -h -N -p debug -o '%N %T' | sort -u | grep -Ec ' (idle|mixed|allocated|completing)$'; }
for try in 1 2 3; do   # a machine under load answers late
  [ -f "$LAB/up" ] || break
  if up_and_ours && [ "$(nodes_that_work)" = "$NODES" ]; then say "is up"; exit 0; fi
  sleep 3
done
PAA_SLURM_LOCKED=1 ./down.sh >/dev/null || die "what was left of an earlier cluster does not stop"

# ---- configuration ----
rm -rf "$LAB"; mkdir -p "$LAB"/{etc,ctld,log,run,munge,db}; chmod 755 "$LAB" "$LAB/run" "$LAB/etc"
[ -z "${PAA_SLURM_COMMAND:-}" ] || touch "$OF_A_COMMAND"   # before any daemon, so that none is forgotten
head -c 128 /dev/urandom >"$LAB/munge/key"; chmod 600 "$LAB/munge/key"
SOCKET=$LAB/run/munge.socket
HOST=$(hostname -s)
CPUS=$(nproc); [ "$CPUS" -gt 8 ] || CPUS=8     # more than there are, on purpose: several small jobs share a core
MEMORY=$(($(awk '/^MemTotal/{print int($2 / 1024)}' /proc/meminfo) * 9 / 10 / NODES))
address=$(getent ahostsv4 "$(hostname)" | awk '{print $1; exit}') || address=""
# Keep to the loopback where the machine's name leads there; elsewhere the daemons need to listen on what it leads to.
LOOPBACK=""; [ "$address" != 127.0.0.1 ] || LOOPBACK="CommunicationParameters=NoCtldInAddrAny,NoInAddrAny"
{
cat <<CFG
$MARK
ClusterName=$CLUSTER
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
# How long a requeued job waits before it may start again; over KillWait, or the old copy is still there and the node
# is drained ("Duplicate jobid").
AuthInfo=socket=$SOCKET,cred_expire=10
KillWait=2
$LOOPBACK
StateSaveLocation=$LAB/ctld
SlurmdSpoolDir=$LAB/spool.%n
SlurmctldPidFile=$LAB/run/slurmctld.pid
SlurmdPidFile=$LAB/run/slurmd.%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd.%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
EnforcePartLimits=ALL
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=1
MinJobAge=3600
MaxArraySize=${PAA_SLURM_MAX_ARRAY:-101}
SlurmdTimeout=20
InactiveLimit=0
ReturnToService=2
JobRequeue=1
# never an id of an earlier cluster: a result that lies under the same id would be taken for the new job's
FirstJobId=$(($(date +%s) % 50000000 + 1))
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStoragePass=$SOCKET
JobAcctGatherType=jobacct_gather/linux
CFG
for i in $(seq "$NODES"); do
  echo "NodeName=n$i NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((17100 + i)) CPUs=$CPUS RealMemory=$MEMORY State=UNKNOWN"
done
cat <<CFG
PartitionName=debug   Nodes=ALL Default=YES DefaultTime=10 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=preempt Nodes=ALL Default=NO  DefaultTime=10 MaxTime=INFINITE State=UP PriorityTier=1  PreemptMode=REQUEUE GraceTime=30
CFG
} >"$CONF"
(umask 077; cat >"$LAB/etc/slurmdbd.conf" <<CFG
$MARK
AuthType=auth/munge
AuthInfo=socket=$SOCKET
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=16819
SlurmUser=root
PidFile=$LAB/run/slurmdbd.pid
LogFile=$LAB/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=33917
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CFG
)

# ---- daemons; all let go of our stdin, stdout and stderr, or a caller that reads us would never see the end ----
munged --key-file="$LAB/munge/key" --socket="$SOCKET" --pid-file="$LAB/run/munged.pid" \
  --log-file="$LAB/log/munged.log" --seed-file="$LAB/munge/seed" </dev/null >"$LAB/log/munged.start" 2>&1 || failed munged
chown mysql:mysql "$LAB/db"
db="--no-defaults --user=mysql --datadir=$LAB/db --innodb-log-file-size=4M"
mariadb-install-db $db --skip-test-db --auth-root-authentication-method=socket </dev/null >"$LAB/log/db.install" 2>&1 \
  || failed "the data base"
setsid mariadbd $db --bind-address=127.0.0.1 --port=33917 --socket="$LAB/db/socket" --pid-file="$LAB/db/mariadbd.pid" \
  --skip-name-resolve --skip-log-bin --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=64M \
  --innodb-lock-wait-timeout=900 </dev/null >"$LAB/log/mariadbd.log" 2>&1 &
sql() { mariadb --no-defaults -u root -S "$LAB/db/socket" -e "$1"; }
export -f sql; export LAB
wait_for 60 mariadbd bash -c 'sql "select 1"'
sql "create database slurm_acct_db; create user slurm@'127.0.0.1' identified by 'slurm';
     grant all on slurm_acct_db.* to slurm@'127.0.0.1'" || failed "the data base's user"
slurmdbd </dev/null >"$LAB/log/slurmdbd.start" 2>&1 || failed slurmdbd
wait_for 60 slurmdbd sacctmgr -n show cluster
slurmctld -f "$CONF" </dev/null >"$LAB/log/slurmctld.start" 2>&1 || failed slurmctld
wait_for 30 slurmctld sh -c 'scontrol ping | grep -q "is UP"'
for i in $(seq "$NODES"); do
  mkdir -p "$LAB/spool.n$i"
  slurmd -f "$CONF" -N "n$i" </dev/null >"$LAB/log/slurmd.n$i.start" 2>&1 || failed "slurmd n$i"
done
wait_for 60 "$NODES idle nodes" sh -c "[ \$(sinfo -h -N -p debug -o '%N %T' | sort -u | grep -c ' idle\$') = $NODES ]"
# sacct knows the cluster only once the controller has registered itself
wait_for 30 "the accounting" sh -c 'sacctmgr -n -P show cluster format=cluster,controlhost | grep -q "^'$CLUSTER'|[0-9]"'
touch "$LAB/up"
say "up: SLURM $(sinfo -V | cut -d' ' -f2), $NODES nodes of $CPUS CPUs; SLURM_CONF=$CONF"
