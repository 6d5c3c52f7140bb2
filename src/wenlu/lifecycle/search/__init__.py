"""Search for the settings with which a recipe learns best: `wenlu tune`."""
