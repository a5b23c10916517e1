import pytest


def test_clamp_without_an_upper_bound():
    pass
