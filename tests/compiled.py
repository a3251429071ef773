"""Prints every pattern that weir's modules compile when imported: a JSON list of [module, pattern, flags].

A process of its own: where the modules are imported already, nobody sees what they compile.
"""

import importlib
import json
import pkgutil
import sys
from typing import Any, Final

PACKAGES: Final = ("schemas", "detectors", "streams", "bench")
_COMPILER: Final[Any] = importlib.import_module("re._compiler")
_found: Final[list[tuple[str, str, int]]] = []


def _record(pattern: str | bytes, flags: int = 0) -> Any:
    compiled = _compile(pattern, flags)
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    _found.append((_caller(), text, compiled.flags))
    return compiled


def _caller() -> str:
    frame = sys._getframe(1)
    while (name := frame.f_globals.get("__name__", "")) in {__name__, "re", "functools"} and frame.f_back:
        frame = frame.f_back
    return str(name)


def _import(package: str) -> None:
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        # What trains needs packages that are not installed, and runs on a developer's machine only.
        if not module.name.startswith("detectors.training") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


if __name__ == "__main__":
    _compile, _COMPILER.compile = _COMPILER.compile, _record
    for each in PACKAGES:
        _import(each)
    json.dump([found for found in _found if found[0].partition(".")[0] in PACKAGES], sys.stdout)
