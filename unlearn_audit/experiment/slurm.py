"""A study as SLURM job arrays, written as files: one array for the stages that can run side by side.

Stages that need each other stand in different arrays, of which each waits for the one before. A task runs one stage by
`unlearn-audit run STUDY --stage NAME`; what is done already is not done again, so a failed array is submitted again.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from unlearn_audit.experiment.stages import Stage
from unlearn_audit.files import write_text

COMMANDS = "stages-{level}.txt"  # of one array, a stage a line
ARRAY = "stages-{level}.sbatch"
SUBMIT = "submit.sh"
TASK = """\
#!/usr/bin/env bash
#SBATCH --job-name={name}-{level}
#SBATCH --array=1-{count}
#SBATCH --output={logs}/%x-%a.log
{options}set -euo pipefail
eval "$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {commands})"
"""
CHAIN = """\
#!/usr/bin/env bash
# Submits all arrays of the study; each waits for the one before.
set -euo pipefail
cd {folder}
previous=
{lines}
echo "Submitted; the last job is $previous."
"""
LINK = "previous=$(sbatch --parsable ${{previous:+--dependency=afterok:$previous}} {array})"


def levels(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Return the stages by how many others have to be done before, those that need none first."""
    depth: dict[str, int] = {}
    for stage in stages:
        depth[stage.hash] = 1 + max((depth[need.hash] for need in stage.needs.values()), default=-1)
    return [[s for s in stages if depth[s.hash] == level] for level in range(max(depth.values()) + 1)]


def write_arrays(
    stages: Sequence[Stage], folder: str | Path, *, name: str, command: Sequence[str], options: Sequence[str] = ()
) -> list[Path]:
    """Write the arrays and `submit.sh` into `folder`, and return the files.

    Args:
        stages: of the study, each after what it needs; the last one is done without `--stage`, so that the study's
            `report` leads to it.
        folder: made where it is missing; it has to be seen from every node under the same path.
        name: of the jobs.
        command: that runs the whole study, with absolute paths.
        options: of `sbatch`, such as "--gres=gpu:1".
    """
    folder = Path(folder).resolve()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    written = []
    for level, together in enumerate(levels(stages), start=1):
        commands, array = (folder / form.format(level=level) for form in (COMMANDS, ARRAY))
        lines = [_command(command, stage, last=stage is stages[-1]) for stage in together]
        write_text(commands, "".join(f"{line}\n" for line in lines))
        text = TASK.format(
            name=name,
            level=level,
            count=len(lines),
            logs=shlex.quote(str(folder / "logs")),
            options="".join(f"#SBATCH {option}\n" for option in options),
            commands=shlex.quote(str(commands)),
        )
        write_text(array, text)
        written += [commands, array]
    chain = "\n".join(LINK.format(array=path.name) for path in written if path.suffix == ".sbatch")
    submit = folder / SUBMIT
    write_text(submit, CHAIN.format(folder=shlex.quote(str(folder)), lines=chain))
    submit.chmod(0o755)
    return [*written, submit]


def _command(command: Sequence[str], stage: Stage, *, last: bool) -> str:
    return shlex.join([*command, *(() if last else ("--stage", stage.name))])
