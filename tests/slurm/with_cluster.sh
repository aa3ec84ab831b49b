#!/usr/bin/env bash
# Runs a command with SLURM_CONF set to the test cluster, which is started for it and stopped after it; one that was up
# before stays up.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/cluster.sh"
before=0
if [ -f "$LAB/up" ] && up_and_ours; then before=1; fi
"$here/up.sh"
if [ $before = 0 ]; then trap '"$here/down.sh"' EXIT; fi
"$@"
