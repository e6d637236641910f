"""The shipped configs: listed, and copied out to edit."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.experiments.compose import CONFIG_MODULE

from harness.core.errors import ConfigError, did_you_mean


def list_configs(group: str = "") -> list[str]:
    """Return ``group/name`` of every shipped config, or of one group.

    Raises:
        ConfigError: there is no such group.
    """
    names = sorted(_walk(files(CONFIG_MODULE), ""))
    if not group:
        return names
    found = [name for name in names if name.startswith(f"{group.strip('/')}/")]
    if not found:
        groups = sorted({name.rpartition("/")[0] for name in names if "/" in name})
        raise ConfigError(f"no group '{group}'; known: {', '.join(groups)}.{did_you_mean(group, groups)}")
    return found


def copy_config(name: str, target: Path) -> Path:
    """Copy the config `name` to `target` (a file, or a folder that exists); return the file written.

    Raises:
        ConfigError: there is no such config, or the file is already there.
    """
    name = name.removesuffix(".yaml").strip("/")
    names = list_configs()
    if name not in names:
        raise ConfigError(f"no config '{name}'; isojoule ls shows them.{did_you_mean(name, names)}")
    source = files(CONFIG_MODULE).joinpath(*f"{name}.yaml".split("/"))
    path = target / f"{name.rpartition('/')[2]}.yaml" if target.is_dir() else target
    if path.exists():
        raise ConfigError(f"'{path}' is already there; give another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.read_text())
    except OSError as error:
        raise ConfigError(f"cannot write '{path}': {error.strerror}.") from error
    return path


def _walk(folder: Traversable, prefix: str) -> list[str]:
    names = []
    for item in folder.iterdir():
        if item.is_dir() and not item.name.startswith("_"):
            names.extend(_walk(item, f"{prefix}{item.name}/"))
        elif item.name.endswith(".yaml"):
            names.append(prefix + item.name.removesuffix(".yaml"))
    return names
