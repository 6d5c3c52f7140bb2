"""Functions that a model may call: how it is told of them, and how it must call them where it has to.

Calls are written in the form that Hermes and Qwen are trained on, `<tool_call>` around an object of JSON. A template
that knows functions in this form writes them itself; to other models the system message tells them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wenlu.generation.guides.compiled import JSON_STYLE
from wenlu.generation.guides.given import schema_text
from wenlu.server.engine.problem import Problem
from wenlu.server.messages import ChatPrompt
from wenlu.tokenizers.chat_template import ChatTemplate

OPEN, CLOSE = "<tool_call>", "</tool_call>"
MOST_CALLS = 16
"""In one answer that has to be calls."""
_INSTRUCTION = """You may call one or more functions to help with what the user asks.

The functions are, as JSON within <tools></tools>:
<tools>
{tools}
</tools>

For each call write an object of JSON with the function's name and its arguments within <tool_call></tool_call>:
<tool_call>
{{"name": "...", "arguments": {{...}}}}
</tool_call>"""


def knows_tools(template: ChatTemplate | None) -> bool:
    """Whether a template writes functions and calls in our form."""
    source = "" if template is None else template.tool_source or template.source
    return "tools" in source and OPEN in source


def told(prompt: ChatPrompt, *, knows: bool) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]] | None]:
    """Messages and functions as the template takes them."""
    tools: list[Mapping[str, Any]] = list(prompt.tools) if prompt.tool_choice != "none" else []
    if knows:
        return list(prompt.messages), tools or None
    messages: list[Mapping[str, Any]] = [_plain(message) for message in prompt.messages]
    if tools:
        text = _INSTRUCTION.format(tools="\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools))
        if messages and messages[0]["role"] == "system":
            messages[0] = {**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}
        else:
            messages.insert(0, {"role": "system", "content": text})
    return messages, None


def calling(prompt: ChatPrompt) -> str | None:
    """A grammar of what the answer must be: calls, where it has to call; text and calls, where any function is strict.

    None where nothing is asked. Raises Problem for a function that is not there, or one whose parameters are no schema.
    """
    if not prompt.tools or prompt.tool_choice == "none":
        return None
    functions = [tool.get("function", {}) for tool in prompt.tools]
    if prompt.tool_choice == "auto":
        if not any(function.get("strict") for function in functions):
            return None
        return _grammar(functions, parallel=prompt.parallel, forced=False)
    if prompt.tool_choice != "required":
        functions = [function for function in functions if function.get("name") == prompt.tool_choice]
        if not functions:
            raise Problem("request", f"there is no function {prompt.tool_choice!r}", param="prompt.tool_choice")
    return _grammar(functions, parallel=prompt.parallel, forced=True)


def _grammar(functions: Sequence[Mapping[str, Any]], *, parallel: bool, forced: bool) -> str:
    more = f'("\\n" call){{0,{MOST_CALLS - 1}}}' if parallel else ""
    rules = []
    if forced:
        rules += [f"start: call {more}", f"call: {_quoted(OPEN)} rest"]
    else:
        rules += [
            f"start: WORDS | before rest {more}",
            "WORDS: /(.|\\n)*/",
            f"before[suffix={_quoted(OPEN)}]: /(.|\\n)*/",
            f"call: {_quoted(OPEN)} rest",
        ]
    rules.append(f'rest: "\\n" body {_quoted(chr(10) + CLOSE)}')
    rules.append("body: " + " | ".join(f"call_{number}" for number in range(len(functions))))
    for number, function in enumerate(functions):
        head = f'{{"name": {json.dumps(function.get("name"), ensure_ascii=False)}, "arguments": '
        rules.append(f'call_{number}: {_quoted(head)} arguments_{number} "}}"')
        rules.append(f"arguments_{number}: %json {_schema(function)}")
    return "\n".join(rules)


def _schema(function: Mapping[str, Any]) -> str:
    try:
        schema = json.loads(schema_text(dict(function.get("parameters") or {"type": "object"})))
    except (ValueError, TypeError) as error:
        raise Problem("request", f"{function.get('name')}: parameters: {error}", param="prompt.tools") from error
    return json.dumps({"x-guidance": JSON_STYLE, **schema}, ensure_ascii=False)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message without parts that only templates with functions know."""
    content = message.get("content") or ""
    if message.get("role") == "tool":
        return {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
    calls = message.get("tool_calls")
    rest = {name: value for name, value in message.items() if name not in ("tool_calls", "tool_call_id")}
    if not calls:
        return {**rest, "content": content}
    written = [f"{OPEN}\n{_call(call['function'])}\n{CLOSE}" for call in calls]
    return {**rest, "content": "\n".join([content, *written] if content else written)}


def _call(function: Mapping[str, Any]) -> str:
    return json.dumps({key: function[key] for key in ("name", "arguments")}, ensure_ascii=False)
