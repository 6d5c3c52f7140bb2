"""What strings the verbs together: recipes, their stages and cache, the report."""
