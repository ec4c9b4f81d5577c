"""An audit of ImageNet's size in bounded memory: `python -m tests.benchmarks.imagenet_sized FOLDER`.

It writes 1.28 million examples × 1,000 classes of made-up float16 logits for seven models (four retrained, a
candidate, the original, an untrained one), 2.4 GB a model, unless FOLDER has them, and audits them in a process of
its own, whose peak resident memory it prints as JSON. The folder is yours to delete.

With `--near 768` it writes embeddings of that size instead, and finds who is near 1,300 of the examples, by each
proximity in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.made_up import request_for, write_models
from unlearn_audit.auditing.neighbours import NeighbourSource
from unlearn_audit.neighbourhood import NeighbourhoodConfig, find_neighbourhood
from unlearn_audit.saved.running import run_audit


def main() -> None:
    """Write what is missing, audit, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--examples", type=int, default=1_280_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--references", type=int, default=4)
    parser.add_argument("--near", type=int, help="no audit: the neighbourhood alone, from embeddings of this size")
    parser.add_argument("--only-audit", action="store_true", help="in this process, of files that exist")
    parser.add_argument("--only-near", help="by this proximity in this process, of files that exist")
    given = parser.parse_args()
    if given.only_near:
        print(json.dumps(neighbours_found(given.folder, given.only_near)))
        return
    if given.near:
        write_embeddings(given.folder, given.examples, given.near)
        for proximity in ("centroid", "knn"):
            print(json.dumps(in_a_process(given.folder, "--only-near", proximity), indent=1))
        return
    if given.only_audit:
        print(json.dumps(audited(given.folder, given.references)))
        return
    if not (given.folder / "forget.txt").exists():
        write_models(given.folder, examples=given.examples, classes=given.classes, references=given.references)
    asked = ("--only-audit", "--references", str(given.references))
    print(json.dumps(in_a_process(given.folder, *asked), indent=1))


def audited(folder: Path, references: int) -> dict[str, float]:
    """Audit the files of `folder` in this process: its seconds, CPU seconds and peak resident memory."""
    start = time.perf_counter(), time.process_time()
    report = run_audit(request_for(folder, references), base=folder).report
    return {"verdict": report.verdicts["candidate"].outcome, **taken(folder, *start)}


def taken(folder: Path, start: float, cpu: float) -> dict[str, float]:
    """Return what was used since `start` and `cpu`, and the size of the files."""
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "parquet_gigabytes": sum(path.stat().st_size for path in folder.glob("*.parquet")) / 1e9,
    }


def write_embeddings(folder: Path, examples: int, width: int) -> None:
    """Write made-up float16 embeddings, in row groups of 4,096 rows, unless they are there."""
    path, rng = folder / "embeddings.parquet", np.random.default_rng(0)
    if path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema({"example_id": pa.string(), "embedding": pa.list_(pa.float16(), width)})
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, examples, 4096):
            rows = min(4096, examples - start)
            values = pa.array(rng.normal(size=rows * width).astype(np.float16))
            ids = [str(i) for i in range(start, start + rows)]
            column = pa.FixedSizeListArray.from_arrays(values, width)
            writer.write_table(pa.table({"example_id": ids, "embedding": column}, schema=schema))


def neighbours_found(folder: Path, proximity: str) -> dict[str, float | str]:
    """Find who is near 1,300 examples, from the embeddings in `folder`."""
    start = time.perf_counter(), time.process_time()
    path = folder / "embeddings.parquet"
    ids = pq.read_table(path, columns=["example_id"]).column(0).to_numpy(zero_copy_only=False).astype(str)
    is_forget = np.random.default_rng(1).permutation(len(ids)) < 1300
    found = find_neighbourhood(
        NeighbourhoodConfig(proximity=proximity),
        NeighbourSource(path, "embedding").embeddings(ids),
        is_forget=is_forget,
        is_retain=~is_forget,
        labels=np.zeros(len(ids), dtype=int),
        ids=ids,
    )
    return {"proximity": found.description, **taken(folder, *start)}


def in_a_process(folder: Path, *asked: str) -> dict[str, float]:
    """Do the same in a process of its own, so that nothing else counts as its memory."""
    command = [sys.executable, "-m", "tests.benchmarks.imagenet_sized", str(folder), *asked]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
