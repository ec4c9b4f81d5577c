"""Modules for the library `evaluate`, loaded by their path."""

from pathlib import Path

from unlearn_audit.errors import ConfigurationError, did_you_mean


def path(name: str) -> str:
    """Return the folder of a module, for `evaluate.load(path(name), module_type="comparison")`."""
    folder = Path(__file__).parent / name
    known = sorted(entry.name for entry in Path(__file__).parent.iterdir() if (entry / f"{entry.name}.py").is_file())
    if name not in known:
        raise ConfigurationError(f"There is no evaluate module {name!r}.{did_you_mean(name, known)}")
    return str(folder)
