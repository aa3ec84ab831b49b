#!/usr/bin/env bash
# Runs a command with SLURM_CONF set to the test cluster, which is started for it and stopped after it in any case.
# One that was started by hand (up.sh) stays up; one that a killed run of this script left behind is stopped first.
#   PAA_SLURM_LIMIT_S  seconds that the command may take (default 600); longer, it is ended, and the exit code is 124,
#                      or 137 where it did not end when told to
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/cluster.sh"
[ $# -gt 0 ] || die "needs a command to run on the cluster"
LIMIT_S=${PAA_SLURM_LIMIT_S:-600}

exec 9>"${LAB%/}.user.lock"   # no child has it, or a daemon would keep it
flock -n 9 || die "another with_cluster.sh of this machine is using the cluster in $LAB; wait for its end"
if [ -e "$OF_A_COMMAND" ]; then
  say "stops what a killed run has left"
  "$here/down.sh" 9>&- || die "the cluster that a killed run has left in $LAB does not stop"
fi

child=""
end() {
  trap '' INT TERM HUP
  [ ! -e "$OF_A_COMMAND" ] || "$here/down.sh" 9>&- || say "the cluster in $LAB does not stop" >&2
}
stop() { # the command first, or the cluster would be taken from under it
  trap '' INT TERM HUP
  [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null; wait "$child"; } || true
  exit "$1"
}
trap end EXIT
trap 'stop 130' INT
trap 'stop 143' TERM HUP
PAA_SLURM_COMMAND=1 timeout -k 10 300 "$here/up.sh" 9>&- || die "there is no cluster to run this on (see above)"
set -m   # in a process group of its own: elsewhere a command in the background ignores SIGINT, and so do its children
timeout -k 30 "$LIMIT_S" "$@" 9>&- &
child=$!
set +m
code=0
wait "$child" || code=$?
child=""
case $code in 124 | 137) say "exit code $code: the command may have PAA_SLURM_LIMIT_S=$LIMIT_S seconds" >&2 ;; esac
exit $code
