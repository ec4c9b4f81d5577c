#!/usr/bin/env bash
# The steps of audit-unlearning.yml for any other CI system, or by hand.
#
# Exit code 0: the audit did not fail. 3: it failed. Anything else: something went wrong on the way. The report is
# written and checked in either case.
#
#   MODEL=models/unlearned DATA=digits bash check.sh
set -uo pipefail

unlearn-audit predict "$MODEL" --data "$DATA" --output audit/unlearned.parquet || exit
unlearn-audit audit --config audit/policy.yaml --forget audit/forget.json \
    --candidate audit/unlearned.parquet --original audit/original.parquet \
    --reference audit/retrained-1.parquet --reference audit/retrained-2.parquet \
    --reference audit/retrained-3.parquet --reference audit/retrained-4.parquet \
    --output report --fail-on fail
verdict=$?
[ $verdict = 0 ] || [ $verdict = 3 ] || exit $verdict
unlearn-audit verify report || exit
exit $verdict
