#!/bin/sh
# Starts a Slurm of one node on loopback for the tests, from Debian's packages slurmctld, slurmd and munge; needs root.
# Usage: start.sh FOLDER; then SLURM_CONF=FOLDER/slurm.conf sinfo. stop.sh FOLDER ends what this one started.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
host=$(hostname -s)
cpus=$(nproc)
umask 022
mkdir -p "$folder/state" "$folder/spool" "$folder/munge"
chmod 0755 "$folder/munge"
head -c 1024 /dev/urandom > "$folder/munge/key"
chmod 0400 "$folder/munge/key"
/usr/sbin/munged --force --key-file "$folder/munge/key" --socket "$folder/munge/socket" \
    --pid-file "$folder/munge/pid" --log-file "$folder/munge/log" --seed-file "$folder/munge/seed"
cat > "$folder/slurm.conf" <<END
ClusterName=isojoule
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=3
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=10
MinJobAge=60
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=low Nodes=$host Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=5 State=UP
PartitionName=high Nodes=$host MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
END
SLURM_CONF="$folder/slurm.conf"
export SLURM_CONF
/usr/sbin/slurmctld -f "$SLURM_CONF"
/usr/sbin/slurmd -f "$SLURM_CONF"
for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2> /dev/null | grep -q -E '^(idle|mixed|allocated)'; then exit 0; fi
    sleep 0.5
done
echo "the node did not come up; see $folder/slurmctld.log and $folder/slurmd.log" >&2
exit 1
