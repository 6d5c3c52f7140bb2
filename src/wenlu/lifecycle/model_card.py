"""The model card: what is known of a model, and nothing else, as README.md with the header that hubs read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wenlu import __version__
from wenlu.lifecycle.report.facts import Facts, read_facts
from wenlu.lifecycle.report.numbers import is_number
from wenlu.lifecycle.report.words import Language
from wenlu.models import Ability, Family, LanguageModel
from wenlu.models.quantised import count_weights
from wenlu.rundir import is_run
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.gguf.cuts import cut_named, rules_of

CARD = "README.md"
_SHOWN = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "max_position_embeddings")
_PIPELINES = {Ability.CAUSAL: "text-generation", Ability.ENCODER_DECODER: "text2text-generation"}
_TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "intro": "A language model of the family {family} with {parameters} parameters, written by Wenlu {version}.",
        "adapter": "This folder holds an adapter of {own} numbers; the other weights are those of its base, {base}.",
        "model": "Model",
        "training": "Training",
        "data": "Data",
        "scores": "Scores",
        "licence": "Licence",
        "trained": "{steps} steps, {tokens} tokens, {seconds} s.",
        "sources": "Sources: {sources}.",
        "split": "{name}: {records} texts, {bytes} bytes.",
        "none": "Unknown: the model did not come with the record of its training.",
        "unscored": "None on record.",
        "interval": "{percent} interval {low} to {high}",
        "terms": "None has been chosen. Whoever passes the model on answers for its terms; those of the data that it "
        "learnt from may bind it, and so may those of a model that it began from.",
        "chat": "It has a chat template and answers in roles.",
        "no_chat": "It has no chat template: it continues text.",
        "encoder": "It reads text both ways and does not write.",
        "encoder_decoder": "It reads one text and writes another.",
        "origin": "Origin: {origin}.",
        "own_cuts": "In transformers 5, `AutoTokenizer` puts rules of its own in the place of this tokenizer's; read "
        "it with `PreTrainedTokenizerFast.from_pretrained`.",
    },
    "zh": {
        "intro": "{family} 家族的语言模型，{parameters} 个参数，由文炉 {version} 写出。",
        "adapter": "本文件夹只存适配器（{own} 个数）；其余权重来自基座 {base}。",
        "model": "模型",
        "training": "训练",
        "data": "数据",
        "scores": "评测",
        "licence": "许可",
        "trained": "{steps} 步，{tokens} 个词元，{seconds} 秒。",
        "sources": "来源：{sources}。",
        "split": "{name}：{records} 篇，{bytes} 字节。",
        "none": "不详：模型未附训练记录。",
        "unscored": "没有记录。",
        "interval": "{percent} 区间 {low} 至 {high}",
        "terms": "尚未选定。转交模型者须自行负责其条款；训练数据的条款以及起始模型的条款都可能对它有约束。",
        "chat": "带有对话模板，按角色回答。",
        "no_chat": "没有对话模板：只会续写文字。",
        "encoder": "双向阅读文字，不会书写。",
        "encoder_decoder": "读一段文字，写出另一段。",
        "origin": "出处：{origin}。",
        "own_cuts": "transformers 5 的 `AutoTokenizer` 会用自己的规则替换这个分词器的规则；"
        "请用 `PreTrainedTokenizerFast.from_pretrained` 读取。",
    },
}


@dataclass(frozen=True)
class Subject:
    """What a card speaks of. `base`: beside which the model's adapter stands; None: it is a whole model."""

    name: str
    model: LanguageModel
    family: Family
    tokenizer: Tokenizer
    base: str | None = None


def model_card(subject: Subject, run: Path | None, language: Language) -> str:
    """The card of a model, with what its `run` directory tells; without one it says what is not known."""
    words = _TEXTS[language]
    facts = read_facts(run) if run is not None and is_run(run) else None
    count = count_weights(subject.model)
    intro = words["intro"].format(family=subject.family.name, parameters=f"{count:,}", version=__version__)
    if subject.base is not None:
        own = sum(weight.numel() for name, weight in subject.model.named_parameters() if ".lora_" in name)
        intro += "\n\n" + words["adapter"].format(base=_plain(subject.base), own=f"{own:,}")
    sections = {
        words["model"]: _model(subject, words),
        words["data"]: [words["none"]] if facts is None else list(_data(facts, words)),
        words["training"]: [words["none"]] if facts is None else _training(facts, words),
        words["scores"]: list(_scores(facts, words)) if facts is not None else [words["unscored"]],
        words["licence"]: [words["terms"]],
    }
    body = "".join(f"\n## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections.items() if lines)
    return f"{_header(subject, language)}\n# {subject.name}\n\n{intro}\n{body}"


def _header(subject: Subject, language: Language) -> str:
    """YAML, of which JSON is a part: quoted texts need no care."""
    abilities = subject.family.abilities
    library = "transformers" if subject.family.hf_types else "wenlu"
    library = "peft" if subject.base is not None and subject.family.hf_types else library
    task = next((tag for ability, tag in _PIPELINES.items() if ability in abilities), "feature-extraction")
    rows = {
        "license": "unknown",
        "language": [language],
        "library_name": library,
        "pipeline_tag": task,
        "tags": ["wenlu", subject.family.name],
        **({} if subject.base is None else {"base_model": _plain(subject.base)}),
    }
    lines = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in rows.items())
    return f"---\n{lines}---\n"


def _model(subject: Subject, words: Mapping[str, str]) -> list[str]:
    config = subject.model.config
    values = {name: getattr(config, name) for name in _SHOWN if name in type(config).model_fields}
    shown = {
        "vocab_size": config.vocab_size,
        **{name: value for name, value in values.items() if value is not None},
        "dtype": str(next(subject.model.parameters()).dtype).removeprefix("torch."),
    }
    if Ability.ENCODER_DECODER in subject.family.abilities:
        use = words["encoder_decoder"]
    elif Ability.CAUSAL not in subject.family.abilities:
        use = words["encoder"]
    else:
        use = words["no_chat"] if subject.tokenizer.chat_template is None else words["chat"]
    warning = ["", words["own_cuts"]] if _is_replaced(subject) else []
    return ["| | |", "|---|---|", *(f"| `{name}` | {value} |" for name, value in shown.items()), "", use, *warning]


def _is_replaced(subject: Subject) -> bool:
    """Whether transformers would cut text otherwise: for this model type it takes Qwen's rules whatever a file says."""
    cut = cut_named("qwen2")
    assert cut is not None, "it is one of CUTS"
    return "qwen2" in subject.family.hf_types and rules_of(subject.tokenizer.document) != cut.rules()


def _data(facts: Facts, words: Mapping[str, str]) -> Iterator[str]:
    statistics = facts.statistics
    if statistics is None:
        yield words["none"]
        return
    sources = sorted({_plain(name) for split in statistics.splits.values() for name in split.sources})
    yield "- " + words["sources"].format(sources=", ".join(sources))
    for name, split in statistics.splits.items():
        yield "- " + words["split"].format(name=name, records=f"{split.records:,}", bytes=f"{split.bytes:,}")


def _training(facts: Facts, words: Mapping[str, str]) -> list[str]:
    lines = [
        words["trained"].format(steps=f"{facts.steps:,}", tokens=f"{facts.tokens:,}", seconds=f"{facts.seconds:,.0f}")
    ]
    origin = {key: facts.provenance.get(key) for key in ("created", "commit", "wenlu")}
    known = ", ".join(f"{key} {_plain(str(value))}" for key, value in origin.items() if isinstance(value, str))
    return [*lines, words["origin"].format(origin=known)] if known else lines


def _scores(facts: Facts, words: Mapping[str, str]) -> Iterator[str]:
    metrics = facts.evaluation.get("metrics")
    rows = [row for row in metrics if isinstance(row, dict)] if isinstance(metrics, list) else []
    if not rows:
        yield words["unscored"]
    for row in rows:
        line = f"- {row.get('name')}: {_number(row.get('value'))} {row.get('unit', '')}"
        if is_number(row.get("low")) and is_number(row.get("high")):
            low, high = _number(row["low"]), _number(row["high"])
            line += f" ({words['interval'].format(percent=facts.percent, low=low, high=high)})"
        yield f"{line}; `{row.get('signature', '')}`"


def _number(value: Any) -> str:
    return f"{value:.4g}" if is_number(value) else "–"


def _plain(text: str) -> str:
    """Names of files say enough; where they lay on somebody's machine is nobody's business."""
    return Path(text).name if text.startswith(("/", "~")) else text
