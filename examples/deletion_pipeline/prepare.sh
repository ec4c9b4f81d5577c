#!/usr/bin/env bash
# What audit-unlearning.yml needs, made once for each deletion request, where there is time to train.
#
# It trains a model on digits and unlearns half of its eights, in place of your own, and four models without them.
# Afterwards audit/ holds the forget set, the predictions of the original and of the retrained models, and the policy:
# what a verdict rests on, fixed before anyone sees one. These files go into the repository, or to where CI finds them;
# the retrained models themselves are needed no more. audit/ tells who was forgotten: the repository must be private.
# About two minutes of CPU time; the steps of the workflow then take 20 seconds of it.
#
#   bash examples/deletion_pipeline/prepare.sh
set -euo pipefail
here=$(dirname "$0")
data=${DATA:-digits}
forget=(--forget-class 8 --forget-fraction 0.5)  # or --forget-file deletion-request.txt
training=(--model resnet8 --set epochs=14 --set batch_size=64 --set precision=float32)

unlearn-audit train --data "$data" --output models/original "${training[@]}"
unlearn-audit unlearn models/original --data "$data" --output models/unlearned "${forget[@]}" \
    --method local_teacher_knn --set n_support=300 \
    --set training.epochs=5 --set training.batch_size=64 --set training.precision=float32
mkdir -p audit
cp models/unlearned/forget.json "$here/policy.yaml" audit/
unlearn-audit predict models/original --data "$data" --output audit/original.parquet
for seed in 1 2 3 4; do
    unlearn-audit train --data "$data" --output models/retrained-$seed --seed $seed \
        --forget-file audit/forget.json "${training[@]}"
    unlearn-audit predict models/retrained-$seed --data "$data" --output audit/retrained-$seed.parquet
done
