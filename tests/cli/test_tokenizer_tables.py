"""The fertility report at a terminal."""

from io import StringIO

from rich.console import Console

from wenlu.cli.tokenizer import render_fertility
from wenlu.tokenizers import FertilityReport, LanguageFertility
from wenlu.tokenizers.fertility import RoundTripFailure

FAILURE = RoundTripFailure(text=3, character=7, expected="cat [b]龘", decoded="cat [b]")
REPORT = FertilityReport(
    vocab_size=4096,
    fingerprint="0" * 32,
    languages=(
        LanguageFertility("en", 1200, 4000, 800, 4000, 1000, 0, 0, ()),
        LanguageFertility("zh", 10, 100, 100, 300, 80, 2, 1, (FAILURE,)),
        LanguageFertility("none", 0, 0, 0, 0, 0, 0, 0, ()),
    ),
)


def test_rates_stand_in_one_row_a_language() -> None:
    lines = rendered().splitlines()
    row = {line.split()[1]: [cell for cell in line.split() if cell != "│"] for line in lines if "│" in line}
    assert "Tokens of 4,096 on each language" in lines[0]
    assert row["en"] == ["en", "1,200", "0.250", "1.25", "0.250", "4.00", "0.00%", "0"]
    assert row["zh"] == ["zh", "10", "0.800", "0.80", "0.267", "3.75", "2.50%", "1"]
    assert row["none"] == ["none", "0", *["–"] * 6]


def test_a_text_that_came_back_changed_is_shown_as_it_is() -> None:
    assert "zh, text 3, character 7: 'cat [b]龘' came back as 'cat [b]'" in rendered()


def rendered() -> str:
    screen = StringIO()
    Console(file=screen, width=120).print(render_fertility(REPORT))
    return screen.getvalue()
