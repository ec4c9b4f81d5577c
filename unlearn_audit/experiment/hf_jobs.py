"""A study as a Hugging Face Job: one script that carries the study and says on what it runs.

The script has a PEP 723 header, so that `uv run` installs what it needs, and in it a `[tool.hf-jobs]` table, which
`hf jobs uv run SCRIPT` reads. A bucket that is mounted keeps the stages: a job that ended too early is started again
and goes on from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from unlearn_audit import __version__
from unlearn_audit.errors import ConfigurationError

if TYPE_CHECKING:
    from huggingface_hub import JobInfo

MOUNT = "/studies"
STUDY = "UNLEARN_AUDIT_STUDY"  # the variable in which a submitted job finds its study
PYTHON = "3.12"
PACKAGE = f"unlearn-audit=={__version__}"
# What the job runs. It reads its study from the environment, or from itself where it is a script.
RUN = """\
import os, sys
from pathlib import Path
from unlearn_audit.cli.main import main
folder = Path({mount!r})
folder.mkdir(parents=True, exist_ok=True)
(folder / {file!r}).write_text({study}, encoding='utf-8')
sys.argv = ['unlearn-audit', 'run', str(folder / {file!r}), '--output', str(folder / {name!r}), '--json']
main()
"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A study, and on what it runs.

    Attributes:
        name: of the study.
        study: the text of its YAML file.
        flavor: of the hardware, as `hf jobs hardware` lists them.
        timeout: after which the job is stopped, such as "2h".
        bucket: `user/name`, mounted to keep the stages; without one they are gone when the job ends.
        package: what `uv` installs: a requirement, or the address of a wheel or a repository.
    """

    name: str
    study: str
    flavor: str = "cpu-upgrade"
    timeout: str = "4h"
    bucket: str | None = None
    package: str = PACKAGE

    def __post_init__(self) -> None:
        if self.bucket is not None and self.bucket.count("/") != 1:
            raise ConfigurationError(f"Expected a bucket as USER/NAME, got {self.bucket!r}.")

    def script(self) -> str:
        """Return the script: header, study and what runs it."""
        table = {"flavor": self.flavor, "timeout": self.timeout, "name": self.name, "secrets": ["HF_TOKEN"]}
        table |= {"volumes": [f"hf://buckets/{self.bucket}:{MOUNT}"]} if self.bucket else {}
        header = [f'requires-python = ">={PYTHON}"', f"dependencies = [{json.dumps(self.package)}]", "[tool.hf-jobs]"]
        header += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        lines = ["# /// script", *(f"# {line}" for line in header), "# ///"]
        return "\n".join([*lines, f"STUDY = {self.study!r}", self._run("STUDY")])

    def _run(self, study: str) -> str:
        return RUN.format(mount=MOUNT, file=f"{self.name}.yaml", name=self.name, study=study)

    def submit(self, *, endpoint: str | None = None, token: str | None = None) -> JobInfo:
        """Start it, and return what the Hub says of it: id, state and address.

        Raises:
            ConfigurationError: where there is no login.
        """
        from huggingface_hub import HfApi, Volume, get_token

        token = token or get_token()
        if token is None:
            raise ConfigurationError("Expected a login to start a job, found none. Run `hf auth login`.")
        api = HfApi(endpoint=endpoint, token=token, library_name="unlearn-audit", library_version=__version__)
        volumes = [Volume(type="bucket", source=self.bucket, mount_path=MOUNT)] if self.bucket else None
        return api.run_uv_job(
            "python",
            script_args=["-c", self._run(f"os.environ[{STUDY!r}]")],
            dependencies=[self.package],
            python=PYTHON,
            env={STUDY: self.study},
            secrets={"HF_TOKEN": token},
            flavor=self.flavor,
            timeout=self.timeout,
            name=self.name,
            volumes=volumes,
        )

    @property
    def report(self) -> str | None:
        """Where the report will be, as `hf buckets` and `unlearn-audit audit` name it."""
        if self.bucket is None:
            return None
        return f"hf://buckets/{PurePosixPath(self.bucket, self.name, 'report', 'report.json')}"
