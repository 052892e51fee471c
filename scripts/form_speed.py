#!/usr/bin/env python3
"""The largest form in a real browser: first paint, size, and whether typing ever waits (tasks over 50 ms).

Needs Chromium (``scripts/bootstrap``). Usage: python scripts/form_speed.py
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import statistics

import uvicorn
from playwright.async_api import Page, async_playwright

from benhan.access import COOKIE
from benhan.bench import pages, suite
from benhan.web import create_app

RUNS = 5
WATCH = """() => { window.slow = []; new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.slow.push(task.duration); }).observe({type: "longtask"}); }"""
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SIZE = "() => performance.getEntriesByType('navigation')[0].transferSize"
TEXT = "Bệnh nhân tỉnh, tiếp xúc tốt, da niêm mạc hồng, không phù, hạch ngoại vi không sờ thấy. "


async def main() -> None:
    """Print the figures."""
    async with suite.installation() as store:
        desk = await pages.desk(store, "51Z08X")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = int(found.getsockname()[1])
        server = uvicorn.Server(
            uvicorn.Config(create_app(store), port=port, log_level="error", lifespan="off")
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{port}"
        async with async_playwright() as play:
            browser = await play.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox", "--disable-gpu"]
            )
            context = await browser.new_context(viewport={"width": 1366, "height": 768}, locale="vi-VN")
            token = desk.client.cookies[COOKIE]
            await context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
            page = await context.new_page()
            paints = [await _paint(page, f"{url}/giay/{desk.paper}") for _ in range(RUNS)]
            size = await page.evaluate(SIZE)
            slow = await _typed(page)
            await browser.close()
        await desk.client.aclose()
        server.should_exit = True
        await serving
    print(
        f"form {pages.largest_form().code}: first paint {statistics.median(paints):.0f} ms (most {max(paints):.0f})"
    )
    print(f"page {size / 1000:.0f} kB; typing {len(TEXT)} letters: {len(slow)} tasks over 50 ms, longest {max(slow, default=0):.0f}")


async def _paint(page: Page, address: str) -> float:
    await page.goto(address, wait_until="load")
    await page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    return float(await page.evaluate(PAINT))


async def _typed(page: Page) -> list[float]:
    """Durations of the tasks that would have held up the keyboard."""
    await page.wait_for_timeout(1000)
    await page.evaluate(WATCH)
    field = page.locator("#giay textarea").first
    await field.scroll_into_view_if_needed()
    await field.click()
    await page.keyboard.type(TEXT, delay=25)
    await page.wait_for_timeout(1500)
    return list(await page.evaluate("() => window.slow"))


asyncio.run(main())
