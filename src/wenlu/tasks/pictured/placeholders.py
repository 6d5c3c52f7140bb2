"""The tokens that stand for a picture among words."""

from __future__ import annotations

from wenlu.errors import ConfigError
from wenlu.tokenizers import Tokenizer

PLACEHOLDER = "<image>"
AROUND, WHOLE, TILE = "<fake_token_around_image>", "<global-img>", "<row_{row}_col_{column}>"
"""What stands between pictures and words in the texts that SmolVLM and Idefics3 learnt from."""


def placeholders(tokenizer: Tokenizer, each: int, rows: int, columns: int) -> list[int]:
    """What makes room for a picture; in the layout of SmolVLM where the tokenizer knows its marks.

    Args:
        each: tokens that stand for the picture, or for a tile of it.
        rows, columns: of its tiles besides the whole; 0 of one that is not cut.

    Raises ConfigError where the picture has more tiles than the tokenizer has names for.
    """
    special = tokenizer.special_tokens
    tile = [special[PLACEHOLDER]] * each
    if AROUND not in special or WHOLE not in special:
        return tile * (rows * columns + 1)
    around = special[AROUND]
    end = [around, special[WHOLE], *tile, around]
    if not rows:
        return end
    next_row, next_whole = tokenizer.encode_batch_inside(["\n", "\n\n"])
    cut: list[int] = []
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            name = TILE.format(row=row, column=column)
            if name not in special:
                raise ConfigError(
                    f"a picture in {rows} rows and {columns} columns of tiles needs the special token "
                    f"{name}, which the tokenizer has not; make size.longest_edge of preprocessor_config.json smaller"
                )
            cut += [around, special[name], *tile]
        cut += next_row if row < rows else next_whole
    return [*cut, *end]
