from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.errors import DataError, ResourceError
from wenlu.progress import Progress
from wenlu.rundir.events import Event, EventLog, decode, encode

EVENTS = st.builds(
    Event,
    step=st.integers(0, 10**9),
    tokens=st.integers(0, 10**15),
    seconds=st.floats(0, 1e9),
    name=st.text(min_size=1),
    value=st.floats(allow_nan=False) | st.text().filter(lambda text: text not in ("nan", "inf", "-inf")),
    unit=st.text(),
)


class Warnings(Progress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def warn(self, message: str) -> None:
        self.messages.append(message)


def event(step: int, value: float | str = 1.5) -> Event:
    return Event(step, step * 10, step / 2, "loss", value, "nats")


def written(path: Path, *events: Event) -> EventLog:
    log = EventLog(path)
    for item in events:
        log.append(item)
    log.close()
    return log


@given(EVENTS)
def test_encoding_round_trips(item: Event) -> None:
    line = encode(item)
    assert line.count(b"\n") == 1
    assert decode(line) == item


@given(EVENTS, st.data())
def test_any_changed_bit_is_noticed(item: Event, data: st.DataObject) -> None:
    line = bytearray(encode(item))
    position = data.draw(st.integers(0, len(line) - 1))
    line[position] ^= 1 << data.draw(st.integers(0, 7))
    assert decode(bytes(line)) is None


def test_the_checksum_is_of_the_line_without_it() -> None:
    fields = json.loads(encode(event(3)))
    crc = fields.pop("crc")
    body = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    assert crc == f"{zlib.crc32(body):08x}"
    assert list(fields) == ["step", "tokens", "seconds", "name", "value", "unit"]


@pytest.mark.parametrize(("value", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_non_finite_values_are_valid_json(value: float, text: str) -> None:
    line = encode(event(1, value))
    assert json.loads(line)["value"] == text
    again = decode(line)
    assert again is not None
    assert str(again.value) == text
    assert isinstance(again.value, float)


def test_a_torn_last_line_is_left_out_with_a_note(tmp_path: Path) -> None:
    log = written(tmp_path / "events.jsonl", event(1), event(2))
    whole = log.path.read_bytes()
    for cut in range(1, len(encode(event(2)))):
        log.path.write_bytes(whole[:-cut])
        heard = Warnings()
        assert list(log.read(heard)) == [event(1)]
        assert heard.messages == [f"{log.path}, line 2: the last line was not written to its end and is left out"]


def test_a_corrupt_line_in_the_middle_is_named(tmp_path: Path) -> None:
    log = written(tmp_path / "events.jsonl", event(1), event(2), event(3))
    log.path.write_bytes(log.path.read_bytes().replace(b'"step":2', b'"step":7'))
    with pytest.raises(DataError, match=r"events.jsonl, line 2: does not match its checksum"):
        list(log.read())


def test_appending_after_a_torn_line_leaves_no_corrupt_one(tmp_path: Path) -> None:
    log = written(tmp_path / "events.jsonl", event(1))
    with log.path.open("ab") as file:
        file.write(b'{"step":2,"tok')
    written(log.path, event(2))
    assert list(log.read()) == [event(1), event(2)]


def test_truncation_removes_later_steps_wherever_they_stand(tmp_path: Path) -> None:
    log = written(tmp_path / "events.jsonl", event(1), event(5), event(2), event(4), event(3))
    log.truncate_after(3)
    assert list(log.read()) == [event(1), event(2), event(3)]
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]


def test_a_log_that_is_not_there_has_no_events(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.truncate_after(0)
    assert list(log.read()) == []


def test_a_full_disk_is_a_resource_error() -> None:
    log = EventLog(Path("/dev/full"))
    with pytest.raises(ResourceError, match="No space left on device"):
        log.append(event(1))
