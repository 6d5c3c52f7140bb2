"""The sections that say how good the model is: curves, scores, architectures, samples."""

from __future__ import annotations

import numpy as np

from wenlu.html import Content, Html, element, join, table
from wenlu.lifecycle.report.charts import Curve, Mark, interval_plot, line_chart
from wenlu.lifecycle.report.facts import Facts, Series, Table, mark
from wenlu.lifecycle.report.numbers import amount, is_number, number
from wenlu.lifecycle.report.words import Words

CURVES = ("loss", "validation", "learning_rate", "speed")
ACCURACY = ".accuracy"
"""Ends the name of a validation's share of right answers."""
TABLE_ROWS = 12


def curves(facts: Facts, words: Words) -> Html | None:
    """A chart for each known series, with its values as a table for those who cannot see it."""
    names = [*CURVES[:2], *(name for name in facts.series if name.endswith(ACCURACY)), *CURVES[2:]]
    figures = [_curve(name, facts, words) for name in names if name in facts.series]
    if not any(figures):
        return None
    note = element("p", words("curve.averaged"), class_="note") if _is_averaged(facts) else None
    return join(note, element("div", *figures, class_="charts"))


def evaluation(facts: Facts, words: Words) -> Html | None:
    """All scores with their intervals and conventions; the model beside its baseline."""
    scores = [row for row in _rows(facts.evaluation.get("metrics")) if "name" in row]
    if not scores:
        return None
    names = ("name", "value", "interval", "n", "unit", "better", "signature")
    header = [words(f"evaluation.{key}", percent=facts.percent) for key in names]
    rows: list[list[Content]] = [
        [
            score_name(str(row["name"]), words),
            number(row.get("value")),
            _interval(row),
            number(row.get("n")),
            str(row.get("unit", "")),
            words.known(f"evaluation.{row.get('better')}", str(row.get("better", ""))),
            element("span", element("code", str(row.get("signature", ""))), class_="wide"),
        ]
        for row in scores
    ]
    return join(
        element("p", words(f"evaluation.{'words' if _of_words(facts) else 'note'}"), class_="note"),
        _beside_baseline(facts, words),
        table(header, rows, numeric=frozenset({1, 2, 3})),
    )


def architectures(facts: Facts, words: Words) -> Html | None:
    rows = [row for row in facts.architectures if "family" in row]
    if not rows:
        return None
    marks = [
        found for row in rows if (found := mark(str(row["family"]), row, value="bits_per_byte", is_main=row is rows[0]))
    ]
    keys = ("parameters", "tokens", "seconds", "tokens_per_second", "bits_per_byte")
    labels = [
        words("architectures.family"),
        words("figure.parameters"),
        words("architectures.tokens"),
        words("architectures.seconds"),
        words("architectures.speed"),
        words("figure.bits"),
        words("evaluation.interval", percent=facts.percent),
    ]
    body: list[list[Content]] = [
        [str(row["family"]), *(number(row.get(key)) for key in keys), _interval(row)] for row in rows
    ]
    return join(
        element("p", words("architectures.note"), class_="note"),
        _plot(marks, words("evaluation.plot", percent=facts.percent), words("figure.bits")),
        table(labels, body, numeric=frozenset(range(1, 7))),
    )


def costs(facts: Facts, words: Words) -> Html | None:
    """What the profiled steps spent their time on."""
    if not facts.costs:
        return None
    keys = ("name", "share", "ms_per_step", "calls_per_step")
    rows: list[list[Content]] = [
        [str(row.get("name")), *(number(row.get(key)) for key in keys[1:])] for row in facts.costs
    ]
    header = [words(f"costs.{key}") for key in keys]
    return join(element("p", words("costs.note"), class_="note"), table(header, rows, numeric=frozenset({1, 2, 3})))


def samples(facts: Facts, words: Words) -> Html | None:
    if not facts.samples:
        return None
    settings = {_settings(sample.get("settings")) for sample in facts.samples}
    shared = settings.pop() if len(settings) == 1 else None
    return join(
        element("p", words(f"samples.{'neighbours' if _of_words(facts) else 'note'}"), class_="note"),
        element("div", *(_sample(sample, with_settings=shared is None) for sample in facts.samples), class_="samples"),
        element("p", words("samples.settings"), ": ", element("code", shared), class_="note") if shared else None,
    )


def baseline_marks(facts: Facts, words: Words) -> list[Mark]:
    """The model's main score and the baseline's, each where it is known."""
    scores = {str(row.get("name")): row for row in _rows(facts.evaluation.get("metrics"))}
    own = _table(facts, "headline") or scores.get("bits_per_byte", {"value": facts.evaluation.get("bits_per_byte")})
    ngram = {"value": facts.evaluation.get("ngram_bits_per_byte")}
    other = _table(facts, "baseline") or scores.get("ngram_bits_per_byte", ngram)
    marks = [
        mark(words("evaluation.model"), own, value="value", is_main=True),
        mark(baseline_name(facts, words), other, value="value"),
    ]
    return [found for found in marks if found]


def baseline_name(facts: Facts, words: Words) -> str:
    """What the model is compared with: an n-gram, the commonest answer, or the system that the signature names."""
    if continues(facts):
        return words("evaluation.baseline")
    signature = str(_table(facts, "baseline").get("signature", ""))
    system = next((part.removeprefix("system:") for part in signature.split("|") if part.startswith("system:")), "")
    return words("evaluation.commonest") if system in ("", "commonest-answer") else system.replace("-", " ")


def continues(facts: Facts) -> bool:
    """Whether the model was trained to continue text, and so is scored in bits per byte."""
    return str(facts.evaluation.get("task", "causal-lm")) == "causal-lm"


def score_name(name: str, words: Words) -> str:
    return words.known(f"score.{name}", name.replace("_", " "))


def headline_name(facts: Facts, words: Words) -> str:
    """What the main score is called."""
    if continues(facts):
        return words("figure.bits")
    return score_name(str(_table(facts, "headline").get("name", "")), words)


def is_better_higher(facts: Facts) -> bool:
    return str(_table(facts, "headline").get("better")) == "higher"


def difference(facts: Facts) -> Table:
    """Model minus baseline: value, low, high; empty where it was not measured."""
    found = facts.evaluation.get("difference")
    return found if isinstance(found, dict) and is_number(found.get("value")) else {}


def _is_averaged(facts: Facts) -> bool:
    """Whether what was validated and saved is an average of the weights that were trained."""
    train, optimizer = facts.settings.get("train"), facts.settings.get("optimizer")
    has_ema = isinstance(train, dict) and is_number(train.get("ema"))
    return has_ema or (isinstance(optimizer, dict) and optimizer.get("name") == "schedule-free")


def _of_words(facts: Facts) -> bool:
    """Whether the run made word vectors."""
    return facts.evaluation.get("model") == "word-vectors"


def _curve(name: str, facts: Facts, words: Words) -> Html | None:
    series = facts.series[name]
    curve = Curve.of(series.tokens, series.values)
    if curve is None:
        return None
    part = name.removesuffix(ACCURACY)
    title = words(f"curve.{name}") if part == name else words("curve.accuracy", part=part)
    caption = element(
        "figcaption", element("strong", title), " ", element("span", _curve_note(name, curve, facts, words))
    )
    unit = element("span", series.unit, class_="unit")
    bad = int(np.sum(~np.isfinite(series.values)))
    return element(
        "figure",
        caption,
        unit,
        line_chart(curve, label=title, x_label=words("curve.tokens")),
        element("p", words("curve.bad", count=str(bad)), class_="note") if bad else None,
        _as_table(series, title, words),
    )


def _curve_note(name: str, curve: Curve, facts: Facts, words: Words) -> str:
    first, last, least = curve.mean[0], curve.mean[-1], curve.mean.min()
    match name:
        case "loss":
            return (
                f"{words('curve.first', first=number(float(first)))} · {words('curve.last', last=number(float(last)))}"
            )
        case "validation":
            return f"{words('curve.best', best=number(float(least)))} · {words('curve.last', last=number(float(last)))}"
        case "speed":
            mean = facts.tokens / facts.seconds if facts.seconds else float(curve.mean.mean())
            return words("curve.average", mean=amount(mean))
        case _:
            return words("curve.last", last=number(float(last)))


def _as_table(series: Series, title: str, words: Words) -> Html:
    chosen = np.unique(np.linspace(0, len(series.values) - 1, TABLE_ROWS).round().astype(int))
    rows: list[list[Content]] = [[number(int(series.tokens[i])), number(float(series.values[i]))] for i in chosen]
    body = table([words("curve.tokens"), f"{title} ({series.unit})"], rows, numeric=frozenset({0, 1}))
    return element("details", element("summary", words("curve.table")), body)


def _beside_baseline(facts: Facts, words: Words) -> Html:
    paired = difference(facts)
    sentence = None
    if paired and is_number(paired.get("low")) and is_number(paired.get("high")):
        ends = {end: number(paired[end]) for end in ("low", "high")}
        sentence = element(
            "p",
            words(
                "evaluation.paired" if continues(facts) else "evaluation.paired.objective",
                value=number(paired["value"]),
                percent=facts.percent,
                system=baseline_name(facts, words),
                **ends,
            ),
        )
    plot = "evaluation.plot.objective" if is_better_higher(facts) else "evaluation.plot.lower"
    plot = "evaluation.plot" if continues(facts) else plot
    label = words(plot, percent=facts.percent, score=headline_name(facts, words))
    return join(_plot(baseline_marks(facts, words), label, headline_name(facts, words)), sentence)


def _plot(marks: list[Mark], label: str, unit: str) -> Html | None:
    if len(marks) < 2:
        return None
    drawn = interval_plot(marks, label=label, x_label=unit)
    return element("figure", drawn, element("figcaption", label), class_="plot")


def _table(facts: Facts, key: str) -> Table:
    found = facts.evaluation.get(key)
    return found if isinstance(found, dict) else {}


def _sample(sample: Table, *, with_settings: bool) -> Html:
    text = element(
        "bdi",
        element("span", str(sample.get("prompt", "")), class_="prompt"),
        element("span", str(sample.get("text", "")), class_="continuation"),
    )
    note = element("p", element("code", _settings(sample.get("settings"))), class_="note") if with_settings else None
    return element("figure", element("pre", text), note)


def _settings(settings: object) -> str:
    if not isinstance(settings, dict):
        return "" if settings is None else str(settings)
    return ", ".join(f"{key} = {value}" for key, value in settings.items() if value not in (None, [], ""))


def _interval(row: Table) -> str:
    return (
        f"{number(row['low'])} – {number(row['high'])}"
        if is_number(row.get("low")) and is_number(row.get("high"))
        else "–"
    )


def _rows(value: object) -> list[Table]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
