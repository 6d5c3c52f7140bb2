"""Word vectors: train, store, read, ask."""

from wenlu.models.vectors.config import VectorsConfig
from wenlu.models.vectors.folder import VectorsFacts, holds_vectors, load_vectors, save_vectors
from wenlu.models.vectors.ngrams import NgramVectors
from wenlu.models.vectors.query import ask, parse_query
from wenlu.models.vectors.questions import Analogy, WordPair
from wenlu.models.vectors.text import ENDINGS, load_text, save_text
from wenlu.models.vectors.train import MAX_SENTENCE_WORDS, train_vectors
from wenlu.models.vectors.vectors import Neighbour, WordVectors

__all__ = [
    "ENDINGS",
    "MAX_SENTENCE_WORDS",
    "Analogy",
    "Neighbour",
    "NgramVectors",
    "VectorsConfig",
    "VectorsFacts",
    "WordPair",
    "WordVectors",
    "ask",
    "holds_vectors",
    "load_text",
    "load_vectors",
    "parse_query",
    "save_text",
    "save_vectors",
    "train_vectors",
]
