"""A market stall: prices, words and a basket."""
from stall.core import Basket, clamp, count_words, from_roman, is_leap, median, merge, read_prices, slug, tidy

__all__ = ["Basket", "clamp", "count_words", "from_roman", "is_leap", "median", "merge", "read_prices", "slug", "tidy"]
