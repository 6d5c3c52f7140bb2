"""The verb `compress`: smaller models beside the one that they were made of."""
