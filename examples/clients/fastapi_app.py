"""A FastAPI app whose prompts and answers pass weir. Needs `pip install fastapi httpx uvicorn`."""
# Run it beside `weir up`: uvicorn fastapi_app:app

import os

import httpx
from fastapi import Body, FastAPI, HTTPException

app = FastAPI()
url, key = os.environ.get("WEIR_URL", "http://127.0.0.1:9480"), os.environ.get("WEIR_KEY", "")
weir = httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=2)


async def checked(text: str, kind: str) -> str:
    """Return the text to use; HTTP 403 where the policy blocks it, 503 where weir is away."""
    try:
        answer = await weir.post("/v1/check", json={"app": "fastapi", "kind": kind, "text": text})
        decision = answer.raise_for_status().json()
    except httpx.HTTPError:
        raise HTTPException(503, "not checked, so not passed on") from None
    if decision["action"] in ("block", "escalate"):
        raise HTTPException(403, "blocked by policy")
    return str(decision.get("text", text))


@app.post("/chat")
async def chat(message: str = Body(embed=True)) -> dict[str, str]:
    """Answer a message; the model is yours to put in."""
    prompt = await checked(message, "prompt")
    return {"answer": await checked(f"You said: {prompt}", "completion")}
