"""A compaction that the disk refuses leaves a log that is read, written and compacted as before."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from streams.local.broker import compaction
from streams.local.broker.partition import COMPACTION
from tests.streams.local.test_broker_partition import batch, opened, values


@pytest.mark.parametrize("failing", ["open", "list", "replace", "unlink"])
@pytest.mark.parametrize("stopped", [False, True])
def test_a_disk_that_fails_a_compaction_closes_no_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, *, stopped: bool
) -> None:
    """All is read before the next one, which ends what the first has begun; and after a start."""
    config = {"segment_bytes": "400", "cleanup_policy": "compact", "min_cleanable_dirty_ratio": "0.1"}
    log = opened(tmp_path, **config)
    for n in range(40):
        log.append(batch(b"%d" % n, key=b"%d" % (n // 2)))
    paths = compaction.due(log)
    target = compaction.compacted(paths, 0.0)
    refused = {"list": (tmp_path / COMPACTION).with_suffix(".new"), "unlink": paths[1]}.get(failing, target)
    owner, name = (os, "open") if failing == "open" else (Path, failing.replace("list", "replace"))
    call = getattr(owner, name)

    def fails(path: Path, *more: Any, **named: Any) -> Any:
        if path == refused:
            raise OSError(errno.EIO, "no disk")
        return call(path, *more, **named)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, fails)
        with pytest.raises(OSError, match="no disk"):
            compaction.take_over(log, paths, target)
    assert set(range(1, 40, 2)) <= {int(value) for value in values(log)}
    if stopped:
        log.close()
        log = opened(tmp_path, **config)
    for n in range(40, 80):
        log.append(batch(b"%d" % n, key=b"%d" % (n // 2)))
    paths = compaction.due(log)
    compaction.take_over(log, paths, compaction.compacted(paths, 0.0))
    last = [int(value) for value in values(log)]
    assert set(range(1, 80, 2)) <= set(last)
    assert last == sorted(set(last))
    assert len(list(tmp_path.glob("*.log"))) == len(log.segments)
    assert not (tmp_path / COMPACTION).exists()
    log.close()
    assert [int(value) for value in values(opened(tmp_path, **config))] == last
