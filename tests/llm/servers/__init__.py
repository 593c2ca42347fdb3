"""Servers that speak the providers' wire protocols and play scenes, failures included."""
