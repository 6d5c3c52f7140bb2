"""What `llm` gets from a server that its extra-openai-models.yaml names; prints it as JSON.

Arguments: as of ask_openai. LLM_USER_PATH is the folder that the file is written to.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

BASE, MODEL, _, FAULTY = sys.argv[1:5]
FOLDER = Path(os.environ["LLM_USER_PATH"])
ENTRY = """- model_id: {id}
  model_name: {name}
  api_base: {base}/v1
  supports_schema: true
  supports_tools: true
  {more}
"""


def weather(city: str) -> str:
    """The weather of a city."""
    return f"25 degrees in {city}"


def main() -> None:
    FOLDER.joinpath("extra-openai-models.yaml").write_text(
        ENTRY.format(id="served", name=MODEL, base=BASE, more="")
        + ENTRY.format(id="whole", name=MODEL, base=BASE, more="can_stream: false")
        + ENTRY.format(id="base", name=MODEL, base=BASE, more="completion: true")
        + ENTRY.format(id="busy", name="busy-twice", base=FAULTY, more="")
        + ENTRY.format(id="unknown", name="gpt-4o", base=BASE, more="")
    )
    import llm  # here, so that it finds the file

    told: dict[str, Any] = {}
    question, greedy = "Where is it warm? Answer with a city.", {"temperature": 0, "max_tokens": 6}
    streamed = llm.get_model("served").prompt(question, stream=True, key="none", **greedy)
    told["stream"] = "".join(streamed)
    usage = streamed.usage()
    told["written"] = usage.output
    whole = llm.get_model("whole").prompt(question, stream=False, key="none", **greedy)
    told["chat"] = whole.text()
    told["completion"] = llm.get_model("base").prompt("One two", stream=False, key="none", **greedy).text()
    form = {
        "type": "object",
        "properties": {"warm": {"type": "boolean"}},
        "required": ["warm"],
        "additionalProperties": False,
    }
    told["schema"] = json.loads(
        llm.get_model("served").prompt(question, schema=form, key="none", temperature=0, max_tokens=90).text()
    )
    tools = llm.get_model("served").prompt(question, tools=[weather], key="none", stream=True, **greedy)
    tools.text()
    told["tools"] = len(tools.tool_calls())
    told["patient"] = llm.get_model("busy").prompt(question, key="none").text()
    try:
        llm.get_model("unknown").prompt(question, key="none").text()
    except Exception as error:  # noqa: BLE001  (llm has an own class for some, and hands on others)
        told["unknown"] = str(error)
    sys.stdout.write(json.dumps(told))


main()
