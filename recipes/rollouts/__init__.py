"""Sampling: engines, and the pipeline that samples while it judges."""
