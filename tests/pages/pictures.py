"""The pictures of docs/desk.md, made anew: `python -m tests.pages.pictures`."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from streams.local.clickhouse import start_clickhouse
from streams.local.process import free_port
from streams.store.client import Store
from tests.models import MODELS
from tests.pages.traffic import all_metrics, fill
from tests.streams.desk.desks import OpenDesk

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = {"desk-overview.png": ("/?since=24h", 760), "desk-compare.png": ("/compare?since=7d", 700)}


async def draw(base: str) -> None:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = await browser.new_page(viewport={"width": 1100, "height": 700})
        for name, (path, height) in PICTURES.items():
            await page.set_viewport_size({"width": 1100, "height": height})
            await page.goto(base + path)
            await page.screenshot(path=DOCS / name)
        await browser.close()


async def main(folder: Path) -> None:
    port = free_port()
    child = start_clickhouse(folder, port)
    try:
        store = Store(f"http://127.0.0.1:{port}")
        fill(store, all_metrics(MODELS), 6_000)
        async with OpenDesk(store) as desk:
            await draw(desk.url)
        store.close()
    finally:
        child.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made)))
