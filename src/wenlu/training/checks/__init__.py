"""Before training: will it learn? Each check is a function of plain things that returns findings."""

from wenlu.training.checks.data import Known, duplicates, label_balance, label_conflicts, leakage
from wenlu.training.checks.finding import Finding, Verdict
from wenlu.training.checks.sequence import of_batches, of_model, of_tokenizer
from wenlu.training.checks.subject import Subject
from wenlu.training.checks.view import Piece, SeenRow, seen_rows
from wenlu.training.checks.written import answer_findings, text_truncation
from wenlu.training.checks.written import answers as written_answers

__all__ = [
    "Finding",
    "Known",
    "Piece",
    "SeenRow",
    "Subject",
    "Verdict",
    "answer_findings",
    "duplicates",
    "label_balance",
    "label_conflicts",
    "leakage",
    "of_batches",
    "of_model",
    "of_tokenizer",
    "seen_rows",
    "text_truncation",
    "written_answers",
]
