"""Models that see, as they are served: a message with a picture is answered as the same example without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.seeing_folder import seeing_folder
from tests.tasks.labelled import ASKED, LABELLED, PAINTED, RED, WHITE, NewTokenizer, painted, seeing, settled
from tests.tasks.tiny import SIZES

import wenlu
from wenlu.bundle import Bundle
from wenlu.corpus.pictures.sight import Shown
from wenlu.errors import UsageError
from wenlu.generation import SamplingConfig
from wenlu.generation.answering import answers_to
from wenlu.generation.conversation import Conversation
from wenlu.generation.engine import Engine
from wenlu.models import family
from wenlu.server.dialects.chat_fields import ChatRequest
from wenlu.server.engine.asides import reply_to
from wenlu.server.engine.forms import Forms
from wenlu.server.engine.preparing import Prepared, prepare
from wenlu.server.engine.problem import Problem
from wenlu.server.engine.served import Served, served
from wenlu.server.engine.writing import Writing
from wenlu.server.messages import ChatPrompt, Delta, TextPrompt, Tokenize, Tokens
from wenlu.tasks import LabelledTask, new_task
from wenlu.tasks.pictured.writing import PicturedPair


def model_of(name: str, new_tokenizer: NewTokenizer) -> Served:
    config = settled(name)
    task = new_task(config, new_tokenizer(special=config.special_tokens))
    assert isinstance(task, LabelledTask)
    torch.manual_seed(0)
    chosen = family(LABELLED[name].family)
    needed = {**SIZES, "eos_token_id": task.tokenizer.eos_id, **task.config.new_model_settings(task.tokenizer)}
    sizes = {key: value for key, value in needed.items() if key in chosen.config.model_fields}
    model = chosen.build(chosen.config(vocab_size=task.tokenizer.vocab_size, **sizes)).eval()
    bundle = Bundle(model, task.tokenizer, seeing(task, model.config), model.config, Path(__file__))
    (one,) = served("m", bundle)
    return one


def ready(one: Served, content: Any, **fields: Any) -> Prepared:
    given = {
        "model": "m",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 6,
        "temperature": 0,
        **fields,
    }
    return prepare(ChatRequest.of(given)[0].generate(1), one, None, Forms(1000))


def part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def said(one: Served, prepared: Prepared) -> str:
    assert isinstance(one.bundle, Bundle)
    engine = Engine(one.bundle.model)
    writing, text = Writing(prepared, engine), ""
    while engine.busy:
        for emission in engine.step():
            text += "".join(event.text for event in writing.take(emission) if isinstance(event, Delta))
    return text


def whole(text: str) -> str:
    """Without what is left of characters that the answer's end cut."""
    return text.replace("\N{REPLACEMENT CHARACTER}", "").strip()


def test_a_question_beside_a_picture_is_answered_as_the_example_is(new_tokenizer: NewTokenizer) -> None:
    one = model_of("visual-question-answering", new_tokenizer)
    assert isinstance(one.bundle, Bundle)
    assert (one.info.abilities, one.info.sees) == (("chat",), True)
    for question, _, url in ASKED[:3]:
        asked = ready(one, [{"type": "text", "text": question}, part(url)])
        example = PicturedPair(question, picture=Shown.at(url))
        (answer,) = answers_to(one.bundle, [example], 48, SamplingConfig(max_new_tokens=6))
        assert whole(said(one, asked)) == whole(answer.text)


def test_a_captioner_is_shown_a_picture_alone(new_tokenizer: NewTokenizer) -> None:
    one = model_of("captioning", new_tokenizer)
    assert isinstance(one.bundle, Bundle)
    url = PAINTED[0][1]
    (answer,) = answers_to(one.bundle, [PicturedPair("", picture=Shown.at(url))], 48, SamplingConfig(max_new_tokens=6))
    assert whole(said(one, ready(one, [part(url)]))) == whole(answer.text)
    with pytest.raises(Problem, match="reads no text beside them"):
        ready(one, [part(url), {"type": "text", "text": "which animal?"}])


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        ("which animal?", {}, "one picture is expected, not 0"),
        ([part(painted(RED)), part(painted(RED)), {"type": "text", "text": "?"}], {}, "one picture is expected, not 2"),
        ([part(painted(RED))], {}, "nothing is asked of the picture"),
        ([part("data:image/png;base64,aGVsbG8="), {"type": "text", "text": "?"}], {}, "not a picture that is read"),
        ([part("data:image/png;base64,@"), {"type": "text", "text": "?"}], {}, "not base64"),
        ([part("data:image/png,x"), {"type": "text", "text": "?"}], {}, "no data URL in base64"),
    ],
)
def test_what_cannot_be_seen_is_told(
    content: Any, fields: dict[str, Any], message: str, new_tokenizer: NewTokenizer
) -> None:
    one = model_of("visual-question-answering", new_tokenizer)
    with pytest.raises(Problem, match=message):
        ready(one, content, **fields)


def test_a_conversation_and_a_bare_text_are_refused(new_tokenizer: NewTokenizer) -> None:
    one = model_of("visual-question-answering", new_tokenizer)
    asked = ChatRequest.of({"model": "m", "messages": [{"role": "user", "content": "a"}]})[0].generate(1)
    with pytest.raises(Problem, match="which only a chat can show"):
        prepare(type(asked)(id=1, model="m", prompt=TextPrompt("a")), one, None, Forms(1000))
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    several = ChatRequest.of({"model": "m", "messages": turns})[0].generate(1)
    with pytest.raises(Problem, match="answers one message of a user"):
        prepare(several, one, None, Forms(1000))


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("talker")
    seeing_folder(folder)
    (one,) = served("m", wenlu.load(folder))
    return one


def test_a_chat_model_is_shown_pictures_in_any_of_its_turns(talker: Served, tmp_path: Path) -> None:
    assert isinstance(talker.bundle, Bundle)
    assert (talker.info.sees, talker.info.columns) == (True, ())
    assert talker.info.abilities[:2] == ("chat", "complete")
    urls = [painted(RED, WHITE), painted(WHITE, RED)]
    alone, sampling = Conversation(talker.bundle, "Be brief."), SamplingConfig(max_new_tokens=6)
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    for question, shown in (("What is it?", urls), ("Really?", []), ("And this?", urls[:1])):
        messages.append({"role": "user", "content": [*map(part, shown), {"type": "text", "text": question}]})
        expected = "".join(piece.text for piece in alone.answer(question, sampling, shown))
        answer = said(talker, ready(talker, None, messages=messages))
        assert whole(answer) == whole(expected)
        messages.append({"role": "assistant", "content": alone.turns[-1].answer})
    other = said(talker, ready(talker, [part(urls[1]), {"type": "text", "text": "What is it?"}]))
    assert other != said(talker, ready(talker, [part(urls[0]), {"type": "text", "text": "What is it?"}]))


def test_a_chat_model_that_sees_is_also_asked_in_words_alone(talker: Served) -> None:
    assert isinstance(talker.bundle, Bundle)
    (tokens,) = [ready(talker, "What is it?").ids]
    assert "User: What is it?" in talker.bundle.tokenizer.decode(tokens)
    asked = ChatRequest.of({"model": "m", "messages": [{"role": "user", "content": "a"}]})[0].generate(1)
    plain = prepare(type(asked)(id=1, model="m", prompt=TextPrompt("What is")), talker, None, Forms(1000))
    assert plain.requests[0].pixel_values is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([part(painted(RED)), {"type": "text", "text": "a\ufffcb"}], "holds the character U[+]FFFC"),
        ([part("data:image/png;base64,aGVsbG8=")], "not a picture that is read"),
    ],
)
def test_pictures_of_a_conversation_that_cannot_be_shown_are_told(content: Any, message: str, talker: Served) -> None:
    with pytest.raises(Problem, match=message) as told:
        ready(talker, content)
    assert told.value.param == "prompt.messages"


def test_a_conversation_with_pictures_is_counted_as_it_is_asked(talker: Served) -> None:
    prompt = ready(talker, [part(painted(RED)), {"type": "text", "text": "What is it?"}])
    assert isinstance(prompt.asked.prompt, ChatPrompt)
    counted = reply_to(Tokenize(id=1, model="m", prompt=prompt.asked.prompt), talker)
    assert isinstance(counted, Tokens)
    assert list(counted.ids) == prompt.ids


def test_what_matches_pictures_is_not_served_yet(new_tokenizer: NewTokenizer) -> None:
    with pytest.raises(UsageError, match="it matches texts and pictures; ask it with: wenlu predict"):
        model_of("image-text-retrieval", new_tokenizer)
