"""An audit of ImageNet's size in bounded memory: `python -m tests.benchmarks.imagenet_sized FOLDER`.

It writes 1.28 million examples × 1,000 classes of made-up float16 logits for seven models (four retrained, a
candidate, the original, an untrained one), 2.4 GB a model, unless FOLDER has them, and audits them in a process of
its own, whose peak resident memory it prints as JSON. The folder is yours to delete.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.made_up import request_for, write_models
from unlearn_audit.saved.running import run_audit


def main() -> None:
    """Write what is missing, audit, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--examples", type=int, default=1_280_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--references", type=int, default=4)
    parser.add_argument("--only-audit", action="store_true", help="in this process, of files that exist")
    given = parser.parse_args()
    if given.only_audit:
        print(json.dumps(audited(given.folder, given.references)))
        return
    if not (given.folder / "forget.txt").exists():
        write_models(given.folder, examples=given.examples, classes=given.classes, references=given.references)
    print(json.dumps(in_a_process(given.folder, given.references), indent=1))


def audited(folder: Path, references: int) -> dict[str, float]:
    """Audit the files of `folder` in this process: its seconds, CPU seconds and peak resident memory."""
    start, cpu = time.perf_counter(), time.process_time()
    report = run_audit(request_for(folder, references), base=folder).report
    return {
        "verdict": report.verdicts["candidate"].outcome,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "parquet_gigabytes": sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e9,
    }


def in_a_process(folder: Path, references: int) -> dict[str, float]:
    """Do the same in a process of its own, so that nothing else counts as its memory."""
    command = [sys.executable, "-m", "tests.benchmarks.imagenet_sized", str(folder), "--only-audit"]
    command += ["--references", str(references)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
