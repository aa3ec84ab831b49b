#!/usr/bin/env bash
# Stops the cluster that up.sh started, jobs first. Idempotent. Ends processes by their ids alone, from that cluster's
# own files or where their environment names it. The folder stays, for its logs; `down.sh --remove` removes it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./cluster.sh
locked ./down.sh "$@"
ours || die "$LAB is not a folder that up.sh made"
failure=0
stop() { # stop NAME SECONDS PIDFILE...: TERM to all, then KILL to what is left
  local name=$1 end=$((SECONDS + $2)) file pid pids=""; shift 2
  for file in "$@"; do
    pid=$(cat "$file" 2>/dev/null) || continue
    [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ] && kill -TERM "$pid" && pids="$pids $pid"
    rm -f "$file"
  done
  for pid in $pids; do
    while alive "$pid" && [ $SECONDS -lt "$end" ]; do sleep 0.1; done
    ! alive "$pid" || { kill -KILL "$pid" 2>/dev/null; sleep 0.5; ! alive "$pid" || failure=1; }
  done
}
if [ -f "$CONF" ] && up_and_ours; then   # a job's processes outlive its slurmd
  ids=$(timeout 5 squeue -h -o %A | sort -u | paste -sd' ')
  [ -z "$ids" ] || timeout 20 scancel $ids
  end=$((SECONDS + 20))
  while [ $SECONDS -lt $end ] && [ -n "$(timeout 5 squeue -h 2>/dev/null)" ]; do sleep 0.2; done
fi
stop slurmd 10 "$LAB"/run/slurmd.*.pid
# What a job that was struck in its first second leaves: its steps' daemons and its processes. They are known by their
# environment, which names this cluster: twice that of a job, once that of a command which merely uses it.
for file in $(grep -lzxF "SLURM_CONF=$CONF" /proc/[0-9]*/environ 2>/dev/null); do
  pid=${file#/proc/}; pid=${pid%/environ}
  if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = slurmstepd ] ||
    grep -qzxF "SLURM_CLUSTER_NAME=$CLUSTER" "$file" 2>/dev/null; then
    kill -KILL "$pid" 2>/dev/null || true
  fi
done
stop slurmctld 15 "$LAB/run/slurmctld.pid"
stop slurmdbd 15 "$LAB/run/slurmdbd.pid"
stop mariadbd 30 "$LAB/db/mariadbd.pid"
stop munged 10 "$LAB/run/munged.pid"
rm -f "$LAB/up"
[ $failure = 1 ] || rm -f "$OF_A_COMMAND"
[ "${1:-}" != --remove ] || rm -rf "$LAB"
say "stopped"
exit $failure
