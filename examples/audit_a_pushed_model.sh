#!/usr/bin/env bash
# An audited model on the Hub, and somebody else who audits it again.
#
# For those who publish an unlearned model, and for those who are asked to believe in it. Ann makes her model forget,
# audits it, and pushes model, card and audit in one commit. Bob has the same images and Ann's list of what was to be
# forgotten, which is not published. He fetches the model, measures it by retrained models of his own, and verifies
# what Ann published. It takes two and a half minutes of CPU time, most of it for starting 23 commands.
#
#   hf auth login
#   bash examples/audit_a_pushed_model.sh you/forgetful-digits
set -euo pipefail
repository=$1
training=(--set epochs=10 --set batch_size=64 --set precision=float32)

# Ann: an original model, half of the eights to be forgotten, and three models retrained without them.
unlearn-audit train --data digits --output ann/original --model resnet8 "${training[@]}"
unlearn-audit unlearn ann/original --data digits --output ann/unlearned --method local_teacher_knn \
    --forget-class 8 --forget-fraction 0.5 \
    --set n_support=300 --set training.epochs=3 --set training.batch_size=64 --set training.precision=float32
unlearn-audit predict ann/original --data digits --output ann/original.parquet
unlearn-audit predict ann/unlearned --data digits --output ann/unlearned.parquet
for seed in 1 2 3; do
    unlearn-audit train --data digits --output ann/retrained-$seed --model resnet8 --seed $seed \
        --forget-file ann/unlearned/forget.json "${training[@]}"
    unlearn-audit predict ann/retrained-$seed --data digits --output ann/retrained-$seed.parquet
done

# Ann: the audit, and what she publishes of it. Ids and images of the forget set stay with her. So small a model may well
# fail, and its card then says so; and half of class 8 by seed 0 is a draw that anyone can guess, and figures confirm:
# here that may be known.
unlearn-audit audit --candidate ann/unlearned.parquet --original ann/original.parquet \
    --reference ann/retrained-1.parquet --reference ann/retrained-2.parquet --reference ann/retrained-3.parquet \
    --forget ann/unlearned/forget.json --set neighbourhood.number=5 --output ann/report
unlearn-audit push ann/report --repo-id "$repository" --model ann/unlearned --license apache-2.0 \
    --allow-failing --accept-exposure

# Bob: has Ann's audit been changed since, and are its figures on the test set those of its predictions?
unlearn-audit verify "hub:$repository"

# Bob: his own retrained models, from his own seeds, and Ann's model measured by them. His own original gives the space
# of the neighbourhoods.
mkdir -p bob && cp ann/unlearned/forget.json bob/forget.json
unlearn-audit train --data digits --output bob/original --model resnet8 --seed 100 "${training[@]}"
unlearn-audit predict bob/original --data digits --output bob/original.parquet
for seed in 101 102 103; do
    unlearn-audit train --data digits --output bob/retrained-$seed --model resnet8 --seed $seed \
        --forget-file bob/forget.json "${training[@]}"
    unlearn-audit predict bob/retrained-$seed --data digits --output bob/retrained-$seed.parquet
done
unlearn-audit audit --candidate "unlearned=hub:$repository" --data digits --original bob/original.parquet \
    --reference bob/retrained-101.parquet --reference bob/retrained-102.parquet --reference bob/retrained-103.parquet \
    --forget bob/forget.json --set neighbourhood.number=5 --output bob/report
unlearn-audit verify bob/report
