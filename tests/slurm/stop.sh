#!/bin/sh
# Ends the Slurm that start.sh started in FOLDER, and the jobs in it. Usage: stop.sh FOLDER
set -u
SLURM_CONF="$1/slurm.conf"
export SLURM_CONF
scancel --user=root 2> /dev/null
sleep 1
for name in slurmd slurmctld munge/munge; do
    file="$1/${name%/munge}.pid"
    [ "$name" = munge/munge ] && file="$1/munge/pid"
    [ -f "$file" ] && kill "$(cat "$file")" 2> /dev/null
done
exit 0
