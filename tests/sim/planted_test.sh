#!/usr/bin/env bash
# planted_test.sh THAW-SIM SOURCES BUILD: the test of the tests. The device, or thaw, is broken in one way after another, and
# the checks of job_test.sh and resume_test.sh have to notice each. One in three; ALL=1: all; ONLY=REGEX: those of such a
# name.
sources=$(realpath "$2") build=$(realpath "$3")
. "$(dirname "$0")/lib.sh" "$@"

# name | job that has to notice | what it sees | where it is broken | how
#
# Broken is the device (device: THAW_SIM_FAULT, tests/sim/sim.h), or a copy of a file of thaw by a command of sed, from which
# the program is linked anew; FILE > FILE: a header, and the file that is then compiled. What is seen:
#     losses    other losses than the CPU's, or none that are numbers
#     bytes     another result than that of an unbroken program
#     refused   the simulator refuses what a GPU would refuse
#     ended     another failure: words, an assertion, a crash
#     stuck     nothing, until the time is over
table() {
    cat <<'END'
no input | one | losses | device | skip:input
no weights | one | losses | device | skip:weights
no gradient of padded weights | one | losses | device | skip:weights_gradient
no turning of weights | one | losses | device | skip:transpose
no sums of a norm | one | losses | device | skip:norm_sums
no running norm | rich | losses | device | skip:norm_running
no norm | one | losses | device | skip:norm_apply
no sums of a norm's gradient | one | losses | device | skip:norm_gradient_sums
no gradient of a norm | one | losses | device | skip:norm_gradient
no mean over the picture | one | losses | device | skip:global_pool
no gradient of that mean | one | losses | device | skip:global_pool_gradient
no shortcut | one | losses | device | skip:shortcut
no gradient of a shortcut | one | losses | device | skip:shortcut_gradient
no cast | half | losses | device | skip:cast
no bias | one | losses | device | skip:add_bias
no gradient of a bias | one | losses | device | skip:bias_gradient
no loss | one | losses | device | skip:loss
no gradient of the loss | one | losses | device | skip:loss_gradient
no sum over replicas | one | losses | device | skip:fold
no norm of the gradients | one | losses | device | skip:squares
no update | one | losses | device | skip:update
no running statistics | one | losses | device | skip:statistics
no zeroes for an empty replica | one | losses | device | skip:zero
an update twice | one | losses | device | twice:update
statistics twice | one | losses | device | twice:statistics
a sum over replicas twice | one | losses | device | twice:fold
squares twice | rich | losses | device | twice:squares
stale arguments of a norm | one | losses | device | stale:norm_apply
stale arguments of an update | rich | losses,refused | device | stale:update
stale arguments of a loss | one | losses | device | stale:loss
a block of squares missing | one | losses | device | block:squares
a block of an update missing | one | losses | device | block:update
a block of a norm missing | one | losses | device | block:norm_sums
steps do not wait for pixels or sums | two | losses,refused | device | order:0
pixels do not wait for the step before | one | losses | device | order:1
sums do not wait for gradients | two | losses,refused | device | order:2
waiting for a stream does not wait | one | losses,refused | device | wait:stream
waiting for an event does not wait | one | losses | device | wait:event
a recording without its last work | one | losses | device | graph:node
a recording in no order | one | losses | device | graph:edge
a recording that is done once | one | losses | device | graph:once
gradients are added to what is there | one | losses | device | conv:add
weights in another order | one | losses | device | conv:order
no clamp behind a convolution | one | losses | device | conv:relu
a sum of gradients is left out | two | losses | device | sum:skip
a rank's gradients count twice | two | losses | device | sum:twice
one letter for all | one | losses | nn/cuda/queue.c | s/mail->next++ % THAW_CUDA_SENDS/mail->next++ * 0/; s/mail->next % THAW_CUDA_SENDS/0 * mail->next/; s/return thaw_gpu_event_wait(mail->read\[i\]);/return THAW_OK;/
pixels over those that are in use | one | losses | nn/cuda/queue.c | s/thaw_status status = thaw_gpu_event_order(cuda->taken, cuda->copies);/thaw_status status = THAW_OK;/
pixels are taken before they have come | one | losses | nn/cuda/queue.c | s/return status ? status : thaw_gpu_event_order(cuda->copied, cuda->stream);/return status;/
pixels are fed before they are read | one | losses | nn/cuda/queue.c | s/return thaw_gpu_event_wait(cuda_of(device)->copied);/return THAW_OK;/
one place for what two steps tell | one | losses | nn/cuda/queue.c | s/% THAW_CUDA_TOLD\]/* 0]/
what a step tells is read before it is there | one | losses | nn/cuda/queue.c | s/return thaw_gpu_event_done(.*/*here_out = cuda != NULL; return THAW_OK;/; s/status = thaw_gpu_event_wait(told->here);/status = THAW_OK;/
no shares of mixed pictures | rich | losses | nn/cuda/queue.c | /memcpy(letter.shares/d
no labels | one | losses | nn/cuda/queue.c | /memcpy(letter.labels/d
labels that fill up overwrite the others | rich | losses,refused | nn/cuda/queue.c | s/3 \* room/2 * room/
the rate of the first step | rich | losses | nn/cuda/queue.c | s/memcpy(letter, &rate, sizeof rate);/{ static double first; first = first ? first : rate; memcpy(letter, \&first, sizeof rate); }/
recordings outlive their phase | one | losses,refused,ended | runner/trainer.c | s/^\tthaw_trainer_forget(t);//
plans outlive the memory they stand in | moved | refused | nn/plan.c | s/plan->bound != plan->device->arena/!plan->bound/
one recording for two sizes of batches | one | losses,ended | runner/trainer_step.c | s/recording->pictures != 0 && recording->pictures != pictures/false/
a recording that waits | few | refused | nn/plan.c | s/status = thaw_params_push(plan->params); .*//
a step that is recorded is not done | one | losses | runner/trainer_step.c | s/return status ? status : queue_of(t)->replay(/return status || recording->times == 2 ? status : queue_of(t)->replay(/
the score of another replica | one | losses | runner/trainer_step.c | s/input.row = i;/input.row = 0;/
the place of another step | one | losses | runner/trainer_step.c | s/t->under_way\[0\] = t->under_way\[1\];//
the host does not know of the update | one | losses | runner/trainer_step.c | s/thaw_updater_stepped(t->updater);/;/
the rate of another phase | one | losses | runner/trainer_step.c | s/place->rate/t->job->phases[0].recipe.lr/
buckets leave before they are final | two | losses | runner/exchange.c | s/e->buckets\[e->begun\].begin >= from/e->buckets[e->begun].end >= from/
statistics are summed before they are made | two | losses | runner/exchange.c | s/e->begun < e->buckets_count \&\& e->buckets\[e->begun\].begin >= from/e->begun < 2/
statistics stay each rank's own | two | losses | runner/exchange.c | s/if (status || bucket.end == bucket.begin)/if (status || bucket.end == e->elems)/
an empty replica repeats the one before | one | losses | runner/exchange.c | s/empty ? zero(e, e->slabs\[e->top\]) : THAW_OK/THAW_OK/
replicas are folded once too rarely | one | losses | runner/exchange.c | s/k < folds(e) \&\& !status/k + 1 < folds(e) \&\& !status/
sums do not wait for a slice | two | losses,refused | comm/sums_nccl.c | s/thaw_gpu_event_order(n->ready, n->stream)/THAW_OK/
the update does not wait for sums | two | losses,refused | comm/sums_nccl.c | s/thaw_gpu_event_order(n->done, cuda_of(sums)->stream)/THAW_OK/
a partial sum is forgotten | six | losses | comm/sums_nccl.c | s/int i = 1; i < sums->nodes/int i = 2; i < sums->nodes/
a partial sum goes twice through the host | mpi | losses | comm/sums_mpi.c | s/slice.partials\[i\], (size_t)/slice.partials[0], (size_t)/
the sums of the host do not come back | mpi | losses | comm/sums_mpi.c | s/m->results\[m->begun\] = slice.partials\[0\]/m->results[m->begun] = slice.partials[sums->nodes - 1]/; s/i < m->begun/i < m->begun - 1/
a run goes on without its parameters | resumed | bytes,losses | nn/updater.c | s/status = thaw_params_push(u->spec.params);//
a run goes on without its slots | resumed | bytes,losses | nn/updater.c | s/status = move_slab(u, memory_of(u)->put_param, u->slabs.slot\[i\], u->spec.optimizer->slot\[i\]);/status = move_slab(u, memory_of(u)->put_param, u->slabs.slot[i], u->spec.optimizer->slot[0]);/
a run counts its updates anew | resumed | bytes | nn/updater.c | s/counters\[i\] = (int64_t)optimizer->steps\[i\];/counters[i] = 0;/
a run goes on with an average anew | resumed | bytes | nn/updater.c | s/applied ? u->spec.average->values/0 ? u->spec.average->values/
a checkpoint without what the device has | resumed | bytes | nn/updater.c | s/status = thaw_params_pull(u->spec.params);/;/
the average stays in the place of parameters | rich | losses | runner/train.c | /thaw_evaluate(t->evaluator, &row->average_metrics)/,/validation = 1/s/status = thaw_updater_swap(t->updater);/;/
validation of the average is one of the parameters | rich | losses | nn/params.c | s/params->twin->values = \*values_inout;//; s/^\t\*values_inout = values;//
an update is forgotten for the host's numbers | one | losses,refused | nn/params.c | s/params->twin->version = ++params->version;/++params->version;/
weights are not renewed | one | losses | nn/params.c | s/params->twin->version = ++params->version;/;/
weights that train are renewed once | one | losses | nn/plan.c | s/step->frozen \&\& plan->version > 0/plan->version > 0/
no copy in 16 bits | resumed | bytes | nn/cuda/update.c | s/\.copy = slabs->copy,//
a gradient over the scratch memory | half | losses | nn/cuda/conv.c | s/return (thaw_gpu_conv_workspace(state->weights) + 255) \/ 256 \* 256;/return 0;/
too little scratch memory | half | losses | nn/cuda/conv.c | s/gradient_at(step) + weights_bytes(step)/gradient_at(step)/
scratch memory that is not aligned | half | refused | nn/cuda/conv.c | s/return (thaw_gpu_conv_workspace(state->weights) + 255) \/ 256 \* 256;/return thaw_gpu_conv_workspace(state->weights) + 4;/
a convolution with another stride | one | refused | nn/cuda/conv.c | s/\.stride = step->stride,/.stride = 1,/
float32 weights for 16 bits | half | refused,losses | nn/cuda/conv.c | s/step->weight_copy ? step->weight_copy : step->weight/step->weight/
weights freed too early | one | refused | nn/cuda/conv.c | s/size_workspace(step);$/{ size_workspace(step); thaw_gpu_free(thaw_cuda_of(step)->gpu, state->own_weights); }/
no mask of what was clamped | one | losses | nn/cuda/norm.c | s/(step->residual || !step->keeps_x)/!step->keeps_x/
the second gradient is forgotten | one | losses | nn/cuda/norm.c | s/step->dy_count > 1 ? step->dy\[1\]->data : NULL/NULL/
partial sums over other memory | one | losses | nn/cuda/norm.c | s/(size_t)grid.splits \* 2 \* /(size_t)1 * /
a pile is added up before it is there | one | losses | nn/cuda/kernels/norm.cu | /^\tBARRIER();$/{N;s/^\tBARRIER();\n\(\tif (p.piled\)/\1/}
a pile is read before it is added up | one | losses | nn/cuda/kernels/norm.cu | /% p.piled\] = sum;/{n;d}
sums are read before they are there | rich | losses | nn/cuda/kernels/kernel.h > nn/cuda/kernels/update.cu | /^\t\tsums\[at.thread \/ 32\] = mine;/{n;d}
the largest is read before it is there | one | losses | nn/cuda/kernels/kernel.h > nn/cuda/kernels/loss.cu | /^\t\tmost\[at.thread \/ 32\] = mine;/{n;d}
who is last is read before it is known | one | losses,refused | nn/cuda/kernels/kernel.h > nn/cuda/kernels/norm.cu | /^\t\t\t\*tickets = 0;/{n;n;d}
half of a warp is not added | rich | losses | nn/cuda/kernels/kernel.h > nn/cuda/kernels/update.cu | s/delta = 16;/delta = 8;/
words that are not aligned | one | refused | nn/cuda/norm.c | s/\.partials = step->workspace,/.partials = (float *)step->workspace + 1,/
tickets are not reset | one | losses | nn/cuda/kernels/kernel.h > nn/cuda/kernels/norm.cu | /^\t\tif (last)$/{N;s/\*tickets = 0/(void)0/;}
no clip | rich | losses | nn/cuda/kernels/update.cu | s/return limit > 0 \&\& factor < 1.0 ? factor : 1.0;/return 1.0;/
no unscaling | fp16 | losses | nn/cuda/kernels/update.cu | s/clip_factor(a->rules.clip, norm) \* a->rules.unscale/clip_factor(a->rules.clip, norm)/
decay as Adam has it | rich | losses | nn/cuda/update.c | s/strcmp(rule->kind, "adamw") == 0/false/
values live too short | one | losses | nn/plan_memory.c | s/step->x == made->y \&\& step->keeps_x \&\& thaw_step_has_backward(step)/false/
gradients live too short | one | losses | nn/plan_memory.c | s/live_until(plan, slot_of(step->dy\[k\])->block, now);/;/
END
}

# Not in the table is what cannot be noticed, as something else sees to it as well: letters are read before they are written
# again, since the pixels of the batch before have come (and that of two updates ago was told); a recording that is replayed
# need not pass replicas on, since all of a step's are; what is exchanged need not be rounded for networks whose validation
# folds all norms, and so takes its weights from float32. The first barrier of a sum over a block is noticed by
# op_parity_test alone, since it is for more than 32 classes; that of the last block, by nobody: blocks run one by one.

# --- jobs, each a function that says what it sees; nothing: all is well ------------------------------------------------------

sim_job 3
short=(--set timeout=20 --set 'phases=[{epochs: 2, train: [layer3, fc], lr: 0.001}, {epochs: 2, train: all, lr: 0.0001, batch: 10}]')
rich=(--set optimizer.kind=adamw --set optimizer.lr=0.0002 --set optimizer.weight_decay=0.05 --set optimizer.clip=0.5
    --set average.decay=0.9 --set loss.class_weights=balanced --set loss.smoothing=0.1 --set timeout=20
    --set schedule.kind=cosine --set batchnorm=frozen
    --set 'phases=[{epochs: 2, train: [layer2, fc], augment: {mixup: 0.4}}, {epochs: 2, train: all, batch: 10}]')
# At rates so high that what is wrong shows beside what 16 bits round: of the losses, which move by 5e-2, seen are 1.3e-3
# with bfloat16 and 6e-4 with half.
high=(--set timeout=20 --set 'phases=[{epochs: 1, train: [layer3, fc], lr: 0.01}, {epochs: 2, train: all, lr: 0.003, batch: 10}]')
# Three replicas a rank, which are no node of the tree, and all with pictures: a rank that has fewer than the other comes to
# where ranks agree without having looked after its device, and the other's then waits for ever, as no real one would.
six=(--set timeout=20 --set replicas=6 --set batch=25
    --set 'phases=[{epochs: 3, train: [layer3, fc], lr: 0.001}, {epochs: 3, train: all, lr: 0.0001}]')
# epochs of two batches, of which each is recorded right behind a checkpoint
few=(--set timeout=20 --set batch=16 --set average.decay=0.9 --set 'phases=[{epochs: 3, train: [layer3, fc], lr: 0.001}]')

# What begins these three, for what shows at once: the whole job runs where it does not.
quick_phases() { # CPU
    case $1 in
        cpu) echo 'phases=[{epochs: 1, train: [layer3, fc], lr: 0.001}, {epochs: 1, train: all, lr: 0.0001, batch: 10}]' ;;
        cpu-rich) echo 'phases=[{epochs: 1, train: [layer2, fc], augment: {mixup: 0.4}}, {epochs: 1, train: all, batch: 10}]' ;;
        cpu-high) echo 'phases=[{epochs: 1, train: [layer3, fc], lr: 0.01}, {epochs: 1, train: all, lr: 0.003, batch: 10}]' ;;
    esac
}
quick=''

# seen CODE: what a run that did not end well shows
seen() {
    if grep -q "^sim: " said; then echo refused
    elif [ "$1" = 124 ] || grep -q "did not come within\|no progress" said; then echo stuck
    elif [ "$1" = 76 ]; then echo losses
    else echo ended; fi
}

# words: what the last run said of its end
words() {
    grep -v "^thaw: warning: " said | grep -m 2 "^thaw: \|^sim: "
}

# ran RANKS NAME OPTIONS...
ran() {
    local got
    THAW_SIM_NCCL_SECONDS=10 train "$@" 2>/dev/null
    got=$?
    [ $got = 0 ] || seen $got
}

# against CPU LIMIT RIGHT RANKS OPTIONS...: the losses of a run, as job_test.sh compares them
against() {
    local cpu=$1 limit=$2 right=$3 ranks=$4 bad
    shift 4
    [ -z "$quick" ] || set -- "$@" --set "$(quick_phases "$cpu")"
    rm -rf runs/broken
    bad=$(ran "$ranks" broken "$@")
    [ -z "$bad" ] || { echo "$bad"; return; }
    distance runs/broken "runs/$cpu$quick" |
        awk -v limit="$limit" -v most="$right" '!($1 != "none" && $1 <= limit && $2 <= most) { print "losses" }'
}

one() { against cpu 2e-6 0 1 "${short[@]}"; }
moved() { THAW_SIM_WORKSPACE=12582912 one; } # the memory moves when an epoch's last batch first comes
few() { against cpu-few 2e-6 0 1 "${few[@]}"; }
two() { against cpu 2e-6 0 2 "${short[@]}"; }
six() { against cpu-six 2e-6 0 2 "${six[@]}"; }
mpi() { against cpu-six 2e-6 0 2 "${six[@]}" --set comm=mpi; }
rich() { against cpu-rich 2e-6 0 1 "${rich[@]}"; }
half() { against cpu-high 5e-3 2 1 "${high[@]}" --set precision=bf16; }
fp16() { against cpu-high 2e-3 2 1 "${high[@]}" --set precision=fp16; }

# stopped twice, and gone on with: what an unbroken program comes to without that
resumed() {
    local bad
    rm -rf runs/broken
    for fault in usr2@5 usr2@9; do
        train 1 broken "${rich[@]}" --set precision=bf16 --fault $fault 2>/dev/null
        bad=$?
        [ $bad = 75 ] || { seen $bad; return; }
    done
    bad=$(ran 1 broken "${rich[@]}" --set precision=bf16)
    [ -z "$bad" ] || { echo "$bad"; return; }
    [ "$(results runs/broken)" = "$(results runs/whole)" ] || echo bytes
}

# --- breaking --------------------------------------------------------------------------------------------------------------

unbroken=$thaw
ninja -C "$build" -t commands tests/sim/thaw-sim >commands 2>/dev/null ||
    { echo "skipped: only ninja tells how the program is built"; exit 77; }

# broken_program FILE[ > FILE] SED: the program with that file changed, `broken`
broken_program() {
    local changed=${1%% > *} compiled=${1##* > } edit=$2 compile link object
    rm -rf tree broken
    mkdir -p "tree/$(dirname "$changed")"
    sed "$edit" "$sources/$changed" >"tree/$changed"
    ! cmp -s "$sources/$changed" "tree/$changed" || { fail "$name: nothing to change in $changed any more"; return 1; }
    compile=$(grep -F -- " -c $sources/$compiled" commands | head -n 1)
    link=$(tail -n 1 commands)
    object=${compile##* -o }
    compile=${compile%% -MD *}
    link=${link/ ${object%% *} / }
    link=${link/ -o tests\/sim\/thaw-sim / $work/broken.o -o $work/broken }
    [ ! -e "tree/$compiled" ] && compiled=$sources/$compiled || compiled=$work/tree/$compiled
    (cd "$build" && eval "${compile/ -I/ -I$work/tree -I} -w -O1 -o $work/broken.o -c $compiled" && eval "$link") \
        >built 2>&1 || { fail "$name: cannot be built: $(head -20 built)"; return 1; }
}

# noticed JOB SEEN: what the job sees, or what its beginning does if that is among SEEN
noticed() {
    local got
    case $1 in
        one | two | rich | half | fp16)
            got=$(quick=-quick; "$1")
            [[ -z $got || ,$2, != *",$got,"* ]] || { echo "$got"; return; }
            ;;
    esac
    "$1"
}

# planted NAME JOB SEEN WHERE HOW
planted() {
    local name=$1 job=$2 want=$3 where=$4 how=$5 got
    thaw=$unbroken
    if [ "$where" = device ]; then
        got=$(export THAW_SIM_FAULT=$how; noticed "$job" "$want")
    else
        broken_program "$where" "$how" || return
        thaw=$work/broken
        got=$(noticed "$job" "$want")
        thaw=$unbroken
    fi
    [ -n "$got" ] || fail "$name ($where): not noticed by '$job'"
    [ -z "$got" ] || case ",$want," in
        *",$got,"*) ;;
        *) fail "$name ($where): '$job' sees $got, not $want: $(words)" ;;
    esac
    printf '%-7s %-9s %s\n' "$job" "$got" "$name"
}

# --- the unbroken program passes --------------------------------------------------------------------------------------------

trained 1 cpu --set device=cpu "${short[@]}"
trained 1 cpu-six --set device=cpu "${six[@]}"
trained 1 cpu-rich --set device=cpu "${rich[@]}"
trained 1 cpu-few --set device=cpu "${few[@]}"
trained 1 cpu-high --set device=cpu "${high[@]}"
trained 1 cpu-quick --set device=cpu "${short[@]}" --set "$(quick_phases cpu)"
trained 1 cpu-rich-quick --set device=cpu "${rich[@]}" --set "$(quick_phases cpu-rich)"
trained 1 cpu-high-quick --set device=cpu "${high[@]}" --set "$(quick_phases cpu-high)"
trained 1 whole "${rich[@]}" --set precision=bf16
jobs=(one moved few two six mpi rich half fp16)
"$thaw" train --help | grep -q -- --fault && jobs+=(resumed) # else it was built without THAW_FAULTS
for job in "${jobs[@]}"; do
    got=$("$job")
    [ -z "$got" ] || fail "$job: the unbroken program: $got: $(words)"
done
for job in one two rich half fp16; do
    got=$(quick=-quick; "$job")
    [ -z "$got" ] || fail "$job, its beginning: the unbroken program: $got: $(words)"
done
[ $failures = 0 ] || { finish; exit; }

# --- and no other does ------------------------------------------------------------------------------------------------------

count=0
while IFS= read -r line; do
    rest=$line fields=()
    for _ in 1 2 3 4; do
        fields+=("${rest%% | *}")
        rest=${rest#* | }
    done
    [[ " ${jobs[*]} " == *" ${fields[1]} "* ]] || continue
    [ -z "${ONLY-}" ] || [[ ${fields[0]} =~ $ONLY ]] || continue
    count=$((count + 1))
    [ -n "${ALL-}${ONLY-}" ] || [ $((count % 3)) = 0 ] || continue
    planted "${fields[@]}" "$rest" </dev/null
done < <(table)
echo "$count faults in the table"

finish
