"""The evaluations of several tasks of one model as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wenlu.evaluation.result import Evaluation


def joined(found: Mapping[str, Evaluation], task: str) -> Evaluation:
    """All scores under their member's name, as `spam.accuracy`; what they are compared with stays each member's own."""
    members = {name: each.to_json() for name, each in found.items()}
    totals = {key: sum(each.facts[key] for each in found.values()) for key in ("documents", "clusters")}
    splits = dict.fromkeys(each.facts["split"] for each in found.values())
    return Evaluation(
        facts={"split": " and ".join(splits), **totals, "members": members},
        scores=tuple(
            replace(score, name=f"{name}.{score.name}") for name, each in found.items() for score in each.scores
        ),
        difference=None,
        settings=next(iter(found.values())).settings,
        rows=[{"member": name, **row} for name, each in found.items() for row in each.rows],
        task=task,
        headline=None,
        baseline=None,
    )
