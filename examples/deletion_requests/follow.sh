#!/usr/bin/env bash
# Five deletion requests of one model: entered, audited at the ledger's level, and every earlier one asked again.
# After models.py, in the same folder: bash follow.sh
set -e

unlearn-audit ledger deletions --model "digits, a small network" --alpha 0.05 --expected 5
for n in 1 2 3 4 5; do
    unlearn-audit ledger deletions --request $n/request.txt
    references=()
    for file in $n/retrained-*.parquet; do references+=(--reference "$file"); done
    unlearn-audit audit --ledger deletions --forget deletions/private/so-far-$n.json --original original.parquet \
        --candidate $n/unlearned.parquet "${references[@]}" --set "measures=[js]" --output $n/report
done
unlearn-audit ledger deletions
