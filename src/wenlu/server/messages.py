"""What the HTTP process and the engine's process say to each other.

One request type for all dialects of generation, `Generate`; one each for vectors, for examples of a task and for
tokens. A request carries a number; everything that answers it carries the same. Plain data only: neither side needs
the other's imports, and the HTTP process never imports torch.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

Ability = Literal[
    "chat", "complete", "fill-in-the-middle", "embed", "classify", "extract", "answer", "translate", "grade", "explain"
]
Finish = Literal["stop", "length"]
Fault = Literal["request", "context", "model", "busy", "deadline", "engine"]
"""Why a request failed: it cannot be asked (400), is longer than the context (400), names no model (404), finds no
memory now (503), took too long (503), or the engine broke (500)."""


PICTURE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Where a picture stands in the content of a message."""


class _Message(Struct, frozen=True, tag=True, omit_defaults=True):
    pass


class ModelInfo(Struct, frozen=True, omit_defaults=True):
    """A model as it is served.

    Attributes:
        name: what requests call it.
        abilities: what it can be asked.
        context: tokens of prompt and answer together; None where nothing bounds them.
        created: when its files were written, in seconds since 1970.
        parameters: how many numbers it has.
        task: the name of the task that it was trained for; None of one that goes on with text.
        labels: of a classifier; or the types of a tagger; or the traits of a grader.
        columns: what an example of the task consists of, the text first.
        parent: the model whose weights an adapter changes.
        tools: whether its chat template knows functions; without it they are told in the system message.
        loaded: whether it is in memory now.
        dimensions: of its vectors.
        sees: whether messages of a user may show pictures; one with `columns` is asked single questions about them.
    """

    name: str
    abilities: tuple[Ability, ...]
    created: int
    context: int | None = None
    parameters: int = 0
    task: str | None = None
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    parent: str | None = None
    tools: bool = False
    loaded: bool = False
    dimensions: int | None = None
    sees: bool = False


class TextPrompt(_Message, frozen=True):
    """A text to go on with, between `suffix` and what comes before where the model fills in the middle."""

    text: str
    suffix: str | None = None


class TokenPrompt(_Message, frozen=True):
    """Ids of the model's own vocabulary."""

    ids: tuple[int, ...]


class ChatPrompt(_Message, frozen=True):
    """Messages, as the model's chat template writes them.

    Attributes:
        messages: `{"role": …, "content": text}` each; `tool_calls` of an assistant with arguments as objects, and
            `tool_call_id` of what a tool returned.
        tools: functions as `{"type": "function", "function": {"name", "description", "parameters"}}`.
        tool_choice: "auto", "none", "required", or the name of the one function to call.
        parallel: whether several functions may be called in one answer.
        variables: more of what the template asks for.
        continues: the last message is the assistant's, and the answer goes on with it.
        pictures: data URLs, in the order in which `PICTURE` stands in the messages' contents.
    """

    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str = "auto"
    parallel: bool = True
    variables: dict[str, Any] = {}
    continues: bool = False
    pictures: tuple[str, ...] = ()


Prompt = TextPrompt | TokenPrompt | ChatPrompt


class Form(Struct, frozen=True, omit_defaults=True):
    """What the whole answer must look like; one of them.

    Attributes:
        json_schema: a schema as JSON text; `{"type": "object"}` is any object.
    """

    json_schema: str | None = None
    regex: str | None = None
    grammar: str | None = None
    choices: tuple[str, ...] = ()


class Rules(Struct, frozen=True, omit_defaults=True):
    """How a token is drawn: names and meanings of `wenlu.generation.Sampling`; temperature 0 is greedy."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}


class Generate(_Message, frozen=True, kw_only=True):
    """Write `n` answers to a prompt.

    Attributes:
        max_tokens: of each answer; None: as many as the context has room for.
        best_of: how many are drawn, of which the `n` likeliest are told at the end; 0: `n`.
        seed: None: one is drawn, and told in `Started`.
        logprobs: tell the log-probability of every token, with so many of the likeliest beside it; None: not.
        echo: tell the prompt's tokens too, with their log-probabilities where `logprobs` asks for any.
        salt: what was read of the prompt is used again only for requests of the same one.
        deadline_seconds: the answers end with "length" where they are not finished by then.
    """

    id: int
    model: str
    prompt: Prompt
    max_tokens: int | None = None
    n: int = 1
    best_of: int = 0
    rules: Rules = Rules()
    stop: tuple[str, ...] = ()
    ignore_end: bool = False
    seed: int | None = None
    logprobs: int | None = None
    echo: bool = False
    form: Form | None = None
    priority: int = 0
    salt: str = ""
    deadline_seconds: float | None = None


class Embed(_Message, frozen=True, kw_only=True):
    """Vectors of texts, or of rows of the model's own ids."""

    id: int
    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None


class Answer(_Message, frozen=True, kw_only=True):
    """Examples of a model's task, each a column's name with its text.

    Attributes:
        ability: which of the model's the caller expects.
        abstain_below: no prediction where its probability is less; None: as training found it.
    """

    id: int
    model: str
    ability: Ability
    examples: tuple[dict[str, Any], ...]
    abstain_below: float | None = None


class Explain(_Message, frozen=True, kw_only=True):
    """Why a model answers as it does to one example of its task, or goes on with a text as it does.

    Attributes:
        example: columns by name; of a model that goes on with it, the `text`.
        settings: those of `wenlu explain` that were given.
        most_tokens: of all its texts; of a linear model words.
        deadline_seconds: the request fails where it is not done by then.
    """

    id: int
    model: str
    example: dict[str, Any]
    settings: dict[str, Any] = {}
    most_tokens: int | None = None
    deadline_seconds: float | None = None


class Tokenize(_Message, frozen=True, kw_only=True):
    """Ids of a text, or of messages as the chat template writes them; framed as a prompt of that kind is, unless it is
    told not to be."""

    id: int
    model: str
    prompt: TextPrompt | ChatPrompt
    framed: bool = True


class Detokenize(_Message, frozen=True, kw_only=True):
    """The text of ids."""

    id: int
    model: str
    ids: tuple[int, ...]


class Describe(_Message, frozen=True, kw_only=True):
    """What the tokenizer is: its special tokens and its chat template."""

    id: int
    model: str


class Cancel(_Message, frozen=True, kw_only=True):
    """Whoever asked is gone; nothing more of the request is told."""

    id: int


class TokenInfo(Struct, frozen=True, omit_defaults=True, array_like=True):
    """A token with its log-probability in nats under the model itself; `utf8` is what it stands for, which
    need not be whole characters."""

    id: int
    utf8: bytes
    logprob: float | None = None
    top: tuple[TokenInfo, ...] = ()


class Started(_Message, frozen=True, kw_only=True):
    """The prompt was read: so many tokens, of which so many had been read before.

    Attributes:
        prompt: its tokens, where `echo` asks for them; the first has no log-probability. `text`: of them.
    """

    id: int
    prompt_tokens: int
    cached_tokens: int = 0
    seed: int = 0
    prompt: tuple[TokenInfo, ...] = ()
    text: str = ""


class Delta(_Message, frozen=True, kw_only=True):
    """What a step adds to one of the answers: whole characters, perhaps none yet; the last one says why it ended.

    Attributes:
        tokens: new ones, where `logprobs` asks for them. count: how many new ones there are.
        stopped_by: the stop string that ended it.
        deadline: it was ended by its deadline.
    """

    id: int
    choice: int
    text: str
    count: int
    tokens: tuple[TokenInfo, ...] = ()
    finish: Finish | None = None
    stopped_by: str | None = None
    deadline: bool = False


class Done(_Message, frozen=True, kw_only=True):
    """All answers to the request have ended."""

    id: int


class Vectors(_Message, frozen=True, kw_only=True):
    """float32 numbers, little-endian, `dimensions` of them for each input in order."""

    id: int
    data: bytes
    dimensions: int
    tokens: int


class Answers(_Message, frozen=True, kw_only=True):
    """For each example what `wenlu predict --json` tells: `prediction`, `probability` and so on, or `error`."""

    id: int
    rows: tuple[dict[str, Any], ...]
    tokens: int


class Explained(_Message, frozen=True, kw_only=True):
    """What `wenlu explain --json` tells."""

    id: int
    told: dict[str, Any]
    tokens: int


class Tokens(_Message, frozen=True, kw_only=True):
    """`text` is theirs; `strings` are theirs one by one."""

    id: int
    ids: tuple[int, ...] = ()
    text: str = ""
    strings: tuple[str, ...] = ()
    context: int | None = None


class Description(_Message, frozen=True, kw_only=True):
    """A tokenizer."""

    id: int
    specials: dict[str, int]
    bos: str | None
    eos: str | None
    pad: str | None
    vocab_size: int
    context: int | None
    chat_template: str | None


class Failed(_Message, frozen=True, kw_only=True):
    """The request ends here.

    Attributes:
        message: for whoever asked: what is wrong and what to try; never a path or a traceback of ours.
        param: the field of the internal request that is at fault, dotted as in "form.regex".
        context, asked: numbers of tokens, where the prompt is too long.
    """

    id: int
    fault: Fault
    message: str
    param: str | None = None
    context: int | None = None
    asked: int | None = None


class Serving(_Message, frozen=True, kw_only=True):
    """The models, whenever one is loaded or dropped; the first says that the engine is ready."""

    models: tuple[ModelInfo, ...]


class Stats(_Message, frozen=True, kw_only=True):
    """What the engine does, about once a second; counts are since its start.

    Attributes:
        page_share: of the memory for keys and values, how much is taken.
        resident_bytes: of the process.
    """

    running: int
    waiting: int
    generated: int
    prompt_tokens: int
    cached_tokens: int
    preemptions: int
    page_share: float
    resident_bytes: int
    form_seconds: float = 0.0
    template_seconds: float = 0.0
    loads: int = 0
    drops: int = 0


class Several(_Message, frozen=True, kw_only=True):
    """What one step has to say, in one frame."""

    events: tuple[Event, ...]


Asking = Embed | Answer | Explain | Tokenize | Detokenize | Describe
"""Requests with one reply."""
Request = Generate | Asking | Cancel
Reply = Vectors | Answers | Explained | Tokens | Description | Failed
Event = Started | Delta | Done | Vectors | Answers | Explained | Tokens | Description | Failed
"""What answers a request."""
Said = Several | Serving | Stats
"""What the engine's process says."""
