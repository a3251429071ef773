"""Tries a text or a draft with the detectors, in a process that ends: the desk itself holds no models."""

import asyncio
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from streams.errors import UserError

MOST_S: Final = 120.0
"""A trial may take so long."""
_SAID: Final = 4_000


class Trials:
    """Runs commands of weir, one at a time: whoever comes meanwhile waits."""

    def __init__(self) -> None:
        self._one = asyncio.Semaphore(1)

    async def check(self, text: str, kind: str, app: str) -> dict[str, Any]:
        """Judge a text as the guard would; `UserError` says what is wrong with it."""
        arguments = ("check", "-", "--json", "--kind", kind, *(("--app", app) if app else ()))
        return await self._run(arguments, text)

    async def backtest(self, draft: str, since: str, app: str) -> dict[str, Any]:
        """Replay a draft on the stored scores; `UserError` has what is wrong with the draft, line by line."""
        with tempfile.TemporaryDirectory(prefix="weir-draft-") as folder:
            path = Path(folder) / "draft.yaml"
            path.write_text(draft, encoding="utf-8")
            given = ("backtest", str(path), "--json", "--since", since, *(("--app", app) if app else ()))
            try:
                return await self._run(given, "")
            except UserError as error:
                raise UserError(str(error).replace(str(path), "draft")) from None

    async def _run(self, arguments: tuple[str, ...], given: str) -> dict[str, Any]:
        async with self._one:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "streams", *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(MOST_S):
                    out, said = await process.communicate(given.encode("utf-8", "replace"))
            except TimeoutError:
                raise UserError(f"it took more than {MOST_S:.0f} s, and was stopped") from None
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode:
            raise UserError(said.decode("utf-8", "replace").strip()[:_SAID] or "it failed without a word")
        answer: dict[str, Any] = json.loads(out)
        return answer
