"""What stands around a model's answers: how conversations are written for it, and where its answers end."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.errors import WenluError
from wenlu.lifecycle.parity_side import Side
from wenlu.tokenizers import Tokenizer

CONVERSATIONS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Where is the key?"),),
    (("system", "Answer in one word."), ("user", "钥匙在哪里？"), ("assistant", "抽屉里。"), ("user", "Which one?")),
)
REFUSED = "refused"


def same_template(a: Side, b: Side) -> bool | None:
    """Whether both write the same ids for conversations; None where neither has a chat template."""
    if a.tokenizer.chat_template is None and b.tokenizer.chat_template is None:
        return None
    return _written(a.tokenizer) == _written(b.tokenizer)


def same_ends(a: Side, b: Side) -> bool | None:
    """Whether answers end at the same tokens; None of models that write none."""
    return a.ends == b.ends if a.kind in ("causal", "seq2seq") else None


def _written(tokenizer: Tokenizer) -> list[Sequence[int] | str]:
    """The ids of each conversation, with an answer to come and without; a refusal counts as one."""
    found: list[Sequence[int] | str] = []
    for turns in CONVERSATIONS:
        messages = [{"role": role, "content": content} for role, content in turns]
        for answers in (True, False):
            try:
                found.append(tokenizer.apply_chat_template(messages, add_generation_prompt=answers))
            except WenluError:
                found.append(REFUSED)
    return found
