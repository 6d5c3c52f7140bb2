"""Labels of words: how tags write entities, and which sub-words carry them."""
