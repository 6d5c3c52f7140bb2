"""Pairs of answers, as models learn which is liked better."""
