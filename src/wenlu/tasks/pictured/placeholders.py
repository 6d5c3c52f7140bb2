"""The tokens that stand for a picture among words."""

from __future__ import annotations

from wenlu.corpus.pictures.sight import Gallery
from wenlu.errors import ConfigError
from wenlu.tokenizers import Tokenizer

PLACEHOLDER = "<image>"
AROUND, WHOLE, TILE = "<fake_token_around_image>", "<global-img>", "<row_{row}_col_{column}>"
"""What stands between pictures and words in the texts that SmolVLM and Idefics3 learnt from."""


def placeholders(tokenizer: Tokenizer, gallery: Gallery, number: int, each: int) -> list[int]:
    """What makes room for a picture; in the layout of SmolVLM where the tokenizer knows its marks.

    Args:
        number: of the picture in its gallery. each: tokens that stand for it, or for a tile of it.

    Raises ConfigError where the picture has more tiles than the tokenizer has names for.
    """
    special = tokenizer.special_tokens
    tile = [special[PLACEHOLDER]] * each
    if AROUND not in special or WHOLE not in special:
        return tile * len(gallery.tiles(number).pixel_values)
    around = special[AROUND]
    end = [around, special[WHOLE], *tile, around]
    processing = gallery.sight.processing
    if not (processing.tiles and processing.do_image_splitting):
        return end
    tiles = gallery.tiles(number)
    if not tiles.rows:
        return end
    next_row, next_whole = tokenizer.encode_batch_inside(["\n", "\n\n"])
    cut: list[int] = []
    for row in range(1, tiles.rows + 1):
        for column in range(1, tiles.columns + 1):
            name = TILE.format(row=row, column=column)
            if name not in special:
                raise ConfigError(
                    f"a picture in {tiles.rows} rows and {tiles.columns} columns of tiles needs the special token "
                    f"{name}, which the tokenizer has not; make size.longest_edge of preprocessor_config.json smaller"
                )
            cut += [around, special[name], *tile]
        cut += next_row if row < tiles.rows else next_whole
    return [*cut, *end]
