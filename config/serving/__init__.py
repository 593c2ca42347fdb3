"""The web server: how connections are taken, kept within bounds, and brought to an end."""
