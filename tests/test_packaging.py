"""The distribution holds every module, and a wheel installed elsewhere works outside the checkout."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import unlearn_audit

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_folder_with_modules_is_listed() -> None:
    found = {"unlearn_audit.cli", "unlearn_audit.examples"}
    for init in (ROOT / "unlearn_audit").rglob("__init__.py"):
        found.add(".".join(init.parent.relative_to(ROOT).parts))
    for init in (ROOT / "examples").glob("*/__init__.py"):
        found.add(f"unlearn_audit.examples.{init.parent.name}")
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def imported_libraries() -> dict[str, str]:
    """Return the top-level names that package and commands import from elsewhere, each with a file that does."""
    found = {}
    for path in [*(ROOT / "unlearn_audit").rglob("*.py"), *(ROOT / "cli").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            found |= {name.partition(".")[0]: path.relative_to(ROOT).as_posix() for name in names}
    return {name: place for name, place in found.items() if name not in {*sys.stdlib_module_names, "unlearn_audit"}}


def test_every_library_that_is_imported_is_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    optional = [name for name in extras if name not in {"dev", "docs"}]
    wanted = [*PROJECT["project"]["dependencies"], *(item for name in optional for item in extras[name])]
    declared = {canonical(re.match(r"[\w.-]+", requirement).group()) for requirement in wanted}
    distributions = importlib.metadata.packages_distributions()
    found = imported_libraries()
    assert {"numpy", "torch", "typer"} <= found.keys()
    undeclared = {
        name: place
        for name, place in found.items()
        if not declared & {canonical(distribution) for distribution in distributions.get(name, [name])}
    }
    assert undeclared == {}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_version_is_in_one_place() -> None:
    assert "version" not in PROJECT["project"] and PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "unlearn_audit.__version__"}
    installed = importlib.metadata.version("unlearn-audit")
    assert installed == unlearn_audit.__version__, "`make clean install` installs the new version"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert unlearn_audit.__version__ in changelog


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with the wheel installed in it, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*command, "build", "--wheel", "--out-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    subprocess.run([*command, "pip", "install", "--no-deps", "--target", target, wheel], check=True)
    return target


def run(site: Path, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_is_what_is_imported_and_holds_the_command(site: Path, tmp_path) -> None:
    where = run(site, tmp_path, "-c", "import unlearn_audit; print(unlearn_audit.__file__)")
    assert Path(where.strip()).is_relative_to(site)
    assert "local_teacher_distillation" in run(site, tmp_path, "-m", "unlearn_audit.cli", "methods")
    assert (site / "unlearn_audit" / "py.typed").is_file()


@pytest.mark.slow
def test_a_study_runs_from_the_wheel(site: Path, tmp_path) -> None:
    run(site, tmp_path, "-m", "unlearn_audit.cli", "init", "study.yaml")
    kept = ["gradient_ascent"]
    configuration = (tmp_path / "study.yaml").read_text(encoding="utf-8")
    dropped = [f"--set=methods.{name}=false" for name in _methods(configuration) if name not in kept]
    settings = ["--set=training.epochs=1", "--set=references=1", *dropped]
    out = run(site, tmp_path, "-m", "unlearn_audit.cli", "run", "study.yaml", "-o", "out", *settings)
    assert "gradient_ascent" in out
    assert (tmp_path / "out" / "report" / "report.html").stat().st_size > 10_000


def _methods(configuration: str) -> list[str]:
    import yaml

    return list(yaml.safe_load(configuration)["methods"])
