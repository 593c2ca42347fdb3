"""Measured comparisons. Absolute figures differ between machines and hours; compare what ran interleaved."""
