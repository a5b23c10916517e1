from __future__ import annotations

from typing import Any


def clamp(x: float, low: float, high: float = 100) -> float:
	"""Between low and high.

Not indented: a line of the docstring.
	"""
	if low > high: raise ValueError("low is \
above high")
	größe = x; größe = low if größe < low else größe
	return high if größe > high \
		else größe


class Basket:
  def total(self, discount: float = 0) -> float:
    return (
      sum(p * c for _, p, c in self.lines)
      * (100 - discount)
    ) / 100
