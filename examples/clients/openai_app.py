"""Asks by OpenAI's moderation API before a message goes on; chat_app.py also redacts, and checks answers.

Needs `pip install openai` and a running `weir up`.
"""

import os
import sys

from openai import OpenAI

weir = OpenAI(
    base_url=os.environ.get("WEIR_URL", "http://127.0.0.1:9480") + "/v1",
    api_key=os.environ.get("WEIR_KEY", "none"),
)


def guarded(message: str) -> str:
    """Return the message if it may go on to the model; raise `PermissionError` if not."""
    result = weir.moderations.create(input=message).results[0]
    if result.flagged:
        raise PermissionError(f"not sent to the model: {result.action}")
    return message


if __name__ == "__main__":
    try:
        print("to the model:", guarded(" ".join(sys.argv[1:])))
    except PermissionError as refused:
        sys.exit(str(refused))
