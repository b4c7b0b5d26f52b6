#!/bin/bash
# {{.Name}}: {{.Tasks}} tasks of one quern command and their merge. Written by quern emit slurm.
#
#   bash FILE          submits all tasks, and the merge that waits for them
#   bash FILE 3,7-9    submits these tasks only, and the merge
#
# A task that fails as another try may mend (exit 1, a signal, out of time) goes back into
# the queue, {{.Retries}} times at most; wrong usage (2) and invalid input (4) do not. Nodes that fail and
# preemption are Slurm's to requeue. A task goes on with what it had finished; one that runs
# twice, even at once, does no harm. The merge names tasks that are missing and submits
# them again, once.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --cpus-per-task={{.CPUs}}
#SBATCH --mem={{mb .Memory}}
{{- if .Time}}
#SBATCH --time={{.Time}}
{{- end}}
#SBATCH --signal=B:TERM@120
set -u

tasks={{.Tasks}}
retries={{.Retries}}
command=({{range $i, $w := .Command}}{{if $i}} {{end}}{{sh $w}}{{end}})
merge=({{range $i, $w := .Merge}}{{if $i}} {{end}}{{sh $w}}{{end}})

# submit ROUND TASKS
submit() {
    local id
    id=$(sbatch --parsable --job-name={{.Name}} --array="$2{{if .Parallel}}%{{.Parallel}}{{end}}" --output={{.Name}}-%A_%a.log \
        --export="ALL,QUERN_ROLE=task,QUERN_ROUND=$1" "$0") || return
    id=${id%%;*} # JOB;CLUSTER where there are several clusters
    sbatch --parsable --job-name={{.Name}}-merge --dependency=afterany:"$id" --output={{.Name}}-merge-%j.log \
        --export="ALL,QUERN_ROLE=merge,QUERN_ROUND=$1" "$0" >/dev/null || return
    echo "tasks $2 are job $id, and the merge waits for them"
}

case ${QUERN_ROLE:-submit} in
submit)
    submit 1 "${1:-1-$tasks}"
    ;;
task)
    export QUERN_TASK=$SLURM_ARRAY_TASK_ID/$tasks
    "${command[@]}" &
    child=$!
    trap 'kill -TERM "$child"' TERM # shortly before the time is over: it ends in order
    wait "$child"
    code=$?
    while kill -0 "$child" 2>/dev/null; do # the signal ended the wait, not yet the task
        wait "$child"
        code=$?
    done
    case $code in 0 | 2 | 4) exit "$code" ;; esac
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$retries" ]; then
        echo "task $QUERN_TASK: exit $code, tried again"
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && sleep 60 # it ends this script
    fi
    exit "$code"
    ;;
merge)
    said=$("${merge[@]}" 2>&1)
    code=$?
    echo "$said"
    if [ "$code" = 5 ]; then
        missing=$(sed -n 's/.*tasks\{0,1\} \([0-9][0-9,-]*\).*/\1/p' <<<"$said" | tail -n 1)
        if [ "${QUERN_ROUND:-1}" -lt 2 ]; then
            submit 2 "${missing:-1-$tasks}"
        fi
    fi
    exit "$code"
    ;;
esac
