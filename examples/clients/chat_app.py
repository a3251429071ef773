"""A chat whose prompts and streamed answers pass weir. Needs `pip install openai aiohttp` and `weir up`."""

import asyncio, json, os, sys, aiohttp  # noqa: E401, I001
from openai import AsyncOpenAI

URL, KEY = os.environ.get("WEIR_URL", "http://127.0.0.1:9480"), os.environ.get("WEIR_KEY", "")


async def lines(chunks):
    try:
        async for chunk in chunks:
            for choice in chunk.choices:
                yield json.dumps({"delta": choice.delta.content or ""}).encode() + b"\n"
    except Exception:  # the model fails in the middle: without this the gate would wait for more
        yield b'{"aborted": true}\n'


async def chat(text: str, model: str) -> None:
    headers = {"X-Weir-App": "chat", "x-api-key": KEY}
    async with aiohttp.ClientSession(URL, headers=headers, raise_for_status=True) as weir:
        decision = await (await weir.post("/v1/check", json={"text": text})).json()
        if decision["action"] in ("block", "escalate"):
            sys.exit("not sent to the model")
        asked = {"model": model, "messages": [{"role": "user", "content": decision.get("text", text)}]}
        chunks = await AsyncOpenAI().chat.completions.create(**asked, stream=True)
        async for line in (await weir.post("/v1/stream", data=lines(chunks))).content:
            print(json.loads(line).get("delta") or f"\n{line.decode()}", end="", flush=True)


asyncio.run(chat(sys.argv[1], os.environ.get("MODEL", "gpt-4o-mini")))
