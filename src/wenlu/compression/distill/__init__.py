"""Distillation: a student learns what a teacher says of each target, not only which answer is right."""
