"""The ladder of a recipe: from what costs nothing to its own model, on the same split, with paired verdicts."""
