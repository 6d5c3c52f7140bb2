"""TF-IDF of words and characters, which the baselines read texts by."""

from __future__ import annotations

from typing import Any

from wenlu.errors import ResourceError

MOST_FEATURES = 200_000


def words_and_characters(min_df: int = 2) -> Any:
    """A vectoriser of words and pairs of words, and within words of two to five characters: in Chinese the latter are
    the words.

    Args:
        min_df: in so many texts a term must stand to count.

    Raises ResourceError where scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion
    except ImportError as error:
        raise ResourceError("the baseline needs scikit-learn: pip install 'wenlu[tasks]'") from error
    kept = {"sublinear_tf": True, "max_features": MOST_FEATURES, "min_df": min_df}
    return FeatureUnion(
        [
            ("words", TfidfVectorizer(ngram_range=(1, 2), **kept)),
            ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), **kept)),
        ]
    )
