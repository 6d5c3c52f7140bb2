"""How chains of methods are written, and what is said of those that mean nothing."""

from __future__ import annotations

import pytest

from wenlu.compression.gptq import GptqConfig
from wenlu.compression.methods import METHODS, label_of, read_chain
from wenlu.compression.rtn import RtnConfig


def test_a_label_and_a_table_mean_the_same() -> None:
    assert read_chain("gptq-int4-g32-asym") == read_chain(
        {"method": "gptq", "bits": 4, "group_size": 32, "symmetric": False}
    )
    assert read_chain("rtn-int8+gptq") == (RtnConfig(bits=8), GptqConfig())
    assert read_chain(["rtn-int8", {"method": "gptq"}]) == (RtnConfig(bits=8), GptqConfig())


@pytest.mark.parametrize("row", METHODS, ids=lambda row: row.name)
def test_every_label_is_read_as_what_it_names(row: object) -> None:
    config = row.config()  # type: ignore[attr-defined]
    assert read_chain(config.label) == (config,)


@pytest.mark.parametrize("label", ["rtn-int8-grow", "gptq-int4-g128-asym"])
def test_a_chain_is_called_by_its_labels(label: str) -> None:
    assert label_of(read_chain(f"{label}+rtn-int4")) == f"{label}+rtn-int4"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gtpq-int4", "no method 'gtpq'; did you mean gptq"),
        ("rtn-int3", "'rtn-int3': 'int3' means nothing to rtn"),
        ({"method": "rtn", "bits": 3}, "rtn: bits: input should be 4 or 8, not 3"),
        ({"method": "rtn", "bit": 4}, "rtn: bit: unknown key; did you mean bits"),
        ({"bits": 4}, "no method 'None'"),
        (4, 'give "rtn-int8" or'),
        ([], "an empty chain"),
    ],
)
def test_what_means_nothing_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_chain(value)
