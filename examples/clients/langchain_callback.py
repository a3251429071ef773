"""A LangChain callback that stops what weir blocks. Needs `pip install langchain-core httpx`."""

import os
from typing import Any

import httpx
from langchain_core.callbacks import BaseCallbackHandler

URL, KEY = os.environ.get("WEIR_URL", "http://127.0.0.1:9480") + "/v1/check", os.environ.get("WEIR_KEY", "")


class Weir(BaseCallbackHandler):
    """Give it to any model: `model.invoke(..., config={"callbacks": [Weir("my-app")]})`."""

    raise_error = True  # else LangChain logs what we raise, and goes on

    def __init__(self, app: str) -> None:
        self._app = app

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> None:
        """Check the prompts before the model sees them."""
        events = [{"app": self._app, "text": text, "request_id": str(kwargs["run_id"])} for text in prompts]
        answer = httpx.post(URL, json={"events": events}, headers={"x-api-key": KEY}, timeout=5)
        for decision in answer.raise_for_status().json()["results"]:
            if decision["action"] in ("block", "escalate"):
                raise PermissionError(f"blocked by policy: {[hit['rule'] for hit in decision['rules']]}")
