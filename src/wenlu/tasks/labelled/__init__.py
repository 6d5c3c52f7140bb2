"""What tasks with labelled examples share; a task itself is a file beside this folder."""

from wenlu.tasks.labelled.generative import GenerativeConfig, GenerativeTask, WrittenText
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.reading import ReadingTask
from wenlu.tasks.labelled.task import LabelledConfig, LabelledTask, Role
from wenlu.tasks.labelled.writing import WritingConfig, WritingTask

__all__ = [
    "GenerativeConfig",
    "GenerativeTask",
    "Headed",
    "LabelledConfig",
    "LabelledTask",
    "ReadingTask",
    "Role",
    "WritingConfig",
    "WritingTask",
    "WrittenText",
]
