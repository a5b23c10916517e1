"""Tensors: the student, its adapter, its losses and what is measured of it."""
