"""Files of training: written whole or not at all, and the same bytes for the same arrays."""

import io
import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

log = logging.getLogger(__name__)

EPOCH = (1980, 1, 1, 0, 0, 0)
"""A fixed time stamp inside the archive, so that equal arrays give equal files."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def write_json(path: Path, content: object, *, sort_keys: bool = False) -> None:
    """Write `content` as indented JSON."""
    write_bytes(path, (json.dumps(content, indent=1, sort_keys=sort_keys) + "\n").encode())
    log.info("wrote %s", path)


def write_arrays(path: Path, **arrays: npt.NDArray[Any]) -> None:
    """Write arrays as a compressed .npz that `numpy.load` reads."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue(), zipfile.ZIP_DEFLATED, 9
            )
    write_bytes(path, buffer.getvalue())
