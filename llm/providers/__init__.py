"""One module per provider; `base` is what they have in common."""
