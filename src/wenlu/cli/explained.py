"""An explanation at the terminal: the text with what speaks for and against in colour, and its certificate."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from wenlu.explanation.certificate import Certificate
from wenlu.explanation.explanation import Attributed, Explanation, strongest
from wenlu.explanation.faithfulness import AgainstRandom

FOR = ("", "on #d5e8fb", "on #9ccaf5", "on #5aa6ee")
AGAINST = ("", "on #fbe0d0", "on #f5b98f", "on #e88b50")
"""Blue and orange, which people who confuse red and green tell apart; black on them."""
LISTED = 10


def shown(explanation: Explanation) -> None:
    """Print it; where the verdict is not valid, without colours and with the reason first."""
    console = Console(highlight=False, soft_wrap=True)
    told, certificate = explanation.told, explanation.certificate
    is_valid = certificate.verdict == "valid"
    answer = told.answer.get("prediction")
    console.print(Text(f"{answer}", style="bold"), Text(_sure(explanation), style="dim"))
    against = "" if told.against is None else f", against {told.against!r}"
    console.print(Text(f"explained: {told.value} of {told.target!r}{against}, by {certificate.method}", style="dim"))
    verdict = Text(f"{certificate.verdict}", style="bold green" if is_valid else "bold red")
    console.print(verdict, *(Text(f"· {reason}", style="red") for reason in certificate.reasons))
    largest = strongest(explanation.attributions)
    for part in explanation.parts:
        units = [each for each in explanation.attributions if each.part == part.name]
        line = Text(f"{part.name}: " if len(explanation.parts) > 1 else "", style="bold")
        line.append_text(_coloured(part.text, units, largest, is_coloured=is_valid))
        console.print(line)
    for each in sorted(explanation.attributions, key=lambda each: -abs(each.attribution or 0.0))[:LISTED]:
        if each.attribution is not None:
            error = "" if each.error is None else f" ± {each.error:.4f}"
            console.print(Text(f"  {each.attribution:+9.4f}{error}  {each.text}"))
    for name, amount in explanation.elsewhere:
        console.print(Text(f"  {amount:+9.4f}  ({name})"))
    console.print(Text("\n".join(lines_of(certificate)), style="dim"))


def lines_of(certificate: Certificate) -> list[str]:
    """What the certificate says, in words."""
    found = certificate.faithfulness
    first = f"{certificate.value:.4f}, of nothing ({certificate.baseline}) {certificate.base:.4f}"
    if certificate.completeness_error is not None:
        first += f"; the sum misses the difference by {certificate.completeness_error:.2%}"
    lines = [
        first,
        f"comprehensiveness {_against(found.comprehensiveness)}, sufficiency {_against(found.sufficiency)}",
        f"better than {found.percentile:.0%} of {found.orders} random orders (p = {found.p_value:.3f})",
    ]
    if certificate.randomisation is not None:
        lines.append(f"correlation with explanations of shuffled weights {certificate.randomisation:.2f}")
    if certificate.stability is not None:
        lines.append(f"correlation between seeds {certificate.stability:.2f}")
    return lines


def _against(found: AgainstRandom) -> str:
    return f"{found.value:.3f} (random {found.random_mean:.3f}, {found.random_low:.3f} to {found.random_high:.3f})"


def _sure(explanation: Explanation) -> str:
    probability = explanation.told.answer.get("probability")
    return "" if probability is None else f"{probability:.3f}"


def _coloured(text: str, units: list[Attributed], largest: float, *, is_coloured: bool) -> Text:
    found, place = Text(), 0
    for unit in units:
        found.append(text[place : unit.start])
        share = (unit.attribution or 0.0) / largest
        styles = FOR if share > 0 else AGAINST
        style = styles[min(3, round(3 * abs(share)))] if is_coloured else ""
        found.append(unit.text, style=f"black {style}" if style else "")
        place = unit.end
    found.append(text[place:])
    return found
