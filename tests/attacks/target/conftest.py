"""Loads the package, as many projects do."""
import pytest

import stall


@pytest.fixture
def basket():
    return stall.Basket("ann")
