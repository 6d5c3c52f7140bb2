"""Other parts of the same prepared data: folds of a cross-validation, fractions of a learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wenlu.corpus.record import Record
from wenlu.corpus.statistics import STATISTICS, DataSummary, SplitTally
from wenlu.corpus.writer import HashedFile
from wenlu.rundir.atomic import atomic_folder


def write_parts(out: Path, parts: Mapping[str, Sequence[Record]], whole: DataSummary, note: str) -> DataSummary:
    """Write the folder `out` as `prepare` would, of records that it has read back.

    Args:
        parts: by name of the split. whole: of the data that they are of. note: what the reader should know.
    """
    summaries, files = {}, {}
    with atomic_folder(out) as folder:
        for name, records in parts.items():
            tally = SplitTally()
            with HashedFile(folder / f"{name}.jsonl") as file:
                for record in records:
                    meta = {key: value for key, value in record.meta.items() if key != "cluster"}
                    plain = Record(record.text, record.id, meta)
                    tally.add(plain, file.write_record(plain, cluster=record.meta["cluster"]))
            summaries[name] = tally.summary(len({record.meta["cluster"] for record in records}))
            files[file.path.name] = file.fact()
        counts = {"kept": sum(part.records for part in summaries.values())}
        told = {"splits": summaries, "files": files, "overlap": (), "notes": (*whole.notes, note)}
        summary = whole.model_copy(update={**counts, **told})
        (folder / STATISTICS).write_text(summary.model_dump_json(indent=1), encoding="utf-8")
    return summary
