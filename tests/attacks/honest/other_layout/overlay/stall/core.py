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


def merge(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {**a}
    for k, v in b.items(): out[k] = merge(out[k], v) if isinstance(v, dict) and isinstance(out.get(k), dict) else v
    return out


class Basket:
  def total(self, discount: float = 0) -> float:
    return (
      sum(p * c for _, p, c in self.lines)
      * (100 - discount)
    ) / 100
