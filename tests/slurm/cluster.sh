# What up.sh and down.sh share: where the test cluster lives, and whether it is ours. Sourced, never run.
#
# The whole cluster lives in one folder: its configuration, keys, sockets, data base, logs and process ids. Nothing of
# it is in /etc/slurm, every port is its own, and SLURM's commands reach it through SLURM_CONF alone. So a SLURM that
# this machine may have is neither seen nor touched.
#   PAA_SLURM_DIR    the folder (default /var/lib/paa-slurm): a short path, with every parent owned by root (munged
#                    insists) and open to the mysql user
#   PAA_SLURM_NODES  number of slurmd's, n1..nN (default 2)
export LC_ALL=C PATH="${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin"
LAB=${PAA_SLURM_DIR:-/var/lib/paa-slurm}
NODES=${PAA_SLURM_NODES:-2}
CLUSTER=paa-test
MARK="# The test cluster of paa, made by tests/slurm/up.sh"
CONF=$LAB/etc/slurm.conf
OF_A_COMMAND=$LAB/of-a-command   # is there while with_cluster.sh has it up for one command, to be stopped after it
export SLURM_CONF=$CONF

say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }
die() { say "$*" >&2; exit 1; }

# Ours: the folder is not there yet, or its configuration begins with our mark.
ours() { [ ! -e "$LAB" ] || [ -z "$(ls -A "$LAB")" ] || [ "$(head -1 "$CONF" 2>/dev/null)" = "$MARK" ]; }

# A zombie counts as gone: a container's first process may reap late, or never.
alive() { [ -r "/proc/$1/status" ] && ! grep -q '^State:[[:space:]]*[ZX]' "/proc/$1/status" 2>/dev/null; }

# up_and_ours: the controller that SLURM_CONF leads to answers, and says our name. (No grep -q: it would end before
# scontrol does, which pipefail takes for a failure.)
up_and_ours() { timeout 5 scontrol show config 2>/dev/null | grep "^ClusterName *= $CLUSTER\$" >/dev/null; }

# One of up.sh and down.sh at a time.
locked() {
  [ -n "${PAA_SLURM_LOCKED:-}" ] || PAA_SLURM_LOCKED=1 exec flock -o "${LAB%/}.lock" bash "$@"
}
