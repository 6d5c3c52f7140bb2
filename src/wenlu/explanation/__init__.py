"""Why a model says what it says: attributions to the text, each with a certificate of what it is worth."""
