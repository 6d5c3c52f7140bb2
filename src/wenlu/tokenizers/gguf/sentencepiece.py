"""Merges out of scores, and scores out of merges: SentencePiece joins the neighbours whose piece scores highest.

A BPE vocabulary says the same by ranks: merges in falling order of the score of what they make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from wenlu.errors import WeightsError

MAX_PIECE = 256
Merge = tuple[str, str]


def merges_of(scores: Mapping[str, float], where: str) -> list[Merge]:
    """Every way to join two of the pieces into a third, the highest score first; raises WeightsError for long pieces.

    Pieces of equal score are joined in the order of `scores`, ways to join one piece with the shortest left part first.
    """
    longest = max(scores, key=len, default="")
    if len(longest) > MAX_PIECE:
        raise WeightsError(f"{where}: the piece {longest[:20]!r}… has {len(longest):,} characters; {MAX_PIECE} at most")
    ordered = sorted(scores, key=lambda piece: -scores[piece])  # stable
    return [
        (piece[:place], piece[place:])
        for piece in ordered
        for place in range(1, len(piece))
        if piece[:place] in scores and piece[place:] in scores
    ]


def scores_of(pieces: Sequence[str], merges: Iterable[Merge], where: str) -> dict[str, float]:
    """Scores from which `merges_of` finds the same merges, in steps of one from -1 down.

    Raises WeightsError where there are none: SentencePiece cannot say that a way to join a piece is closed.
    """
    found: dict[str, list[Merge]] = {}
    for merge in merges:
        found.setdefault("".join(merge), []).append(merge)
    scores = {piece: -float(rank) for rank, piece in enumerate(found, start=1)}
    all_scores = {piece: scores.get(piece, -float(len(scores) + 1)) for piece in pieces}
    wanted = {piece: set(ways) for piece, ways in found.items()}
    derived: dict[str, set[Merge]] = {}
    for merge in merges_of(all_scores, where):
        derived.setdefault("".join(merge), set()).add(merge)
    if derived != wanted:
        piece = next(p for p in (*derived, *wanted) if derived.get(p) != wanted.get(p))
        raise WeightsError(
            f"{where}: the merges that make {piece!r} are not all ways to join it, which SentencePiece cannot express"
        )
    return all_scores
