"""What grading consists of: its settings, what a score is, the heads."""
