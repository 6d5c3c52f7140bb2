"""Which number of a model's answer is explained, and which rows of tokens it comes from: one file per kind of task."""
