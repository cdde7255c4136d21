"""Packages of plugins in a folder, as pip leaves them, and the environment in which Python finds them."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path


def add_package(
    site: Path, package: str, kind: str, name: str, code: str, version: str = "1.0", module: str = ""
) -> None:
    """Install one more plugin of a package: its module and its dist-info."""
    module = module or f"{package.replace('-', '_')}_{name.replace('-', '_')}"
    info = site / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (site / f"{module}.py").write_text(textwrap.dedent(code))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    with (info / "entry_points.txt").open("a") as file:
        file.write(f"[ganbench.{kind}]\n{name} = {module}\n")


def surroundings(site: Path, **variables: str) -> dict[str, str]:
    """The environment, with the packages in ``site`` and some more variables."""
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, **variables}
