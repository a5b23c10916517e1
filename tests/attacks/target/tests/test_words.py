import unittest

from stall import count_words, merge, slug, tidy
from tally import total_by_key


class WordsTest(unittest.TestCase):
    def setUp(self):
        self.words = ["b", "a", "b", "c", "a"]

    def test_slug(self):
        self.assertEqual(slug("Hello, World!"), "hello-world")

    def test_slug_of_odd_characters(self):
        self.assertEqual(slug("  A -- b_c 12 "), "a-b-c-12")
        self.assertEqual(slug("Crème brûlée"), "cr-me-br-l-e")

    def test_slug_of_nothing(self):
        self.assertEqual(slug("..."), "")

    def test_count_words(self):
        self.assertEqual(count_words("the cat and The dog"), {"the": 2, "cat": 1, "and": 1, "dog": 1})

    def test_count_words_of_nothing(self):
        self.assertEqual(count_words("  "), {})

    def test_count_words_keeps_marks(self):
        self.assertEqual(count_words("a, a\nb\ta"), {"a,": 1, "a": 2, "b": 1})

    def test_tidy(self):
        self.assertEqual(tidy(self.words), 2)
        self.assertEqual(self.words, ["b", "a", "c"])

    def test_tidy_nothing(self):
        nothing = []
        self.assertEqual(tidy(nothing), 0)
        self.assertEqual(nothing, [])

    def test_tidy_what_is_tidy(self):
        words = ["x", "y"]
        self.assertEqual(tidy(words), 0)
        self.assertEqual(words, ["x", "y"])


class MergeTest(unittest.TestCase):
    def test_flat(self):
        self.assertEqual(merge({"a": 1, "b": 2}, {"b": 3}), {"a": 1, "b": 3})

    def test_deep(self):
        self.assertEqual(merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}, "c": {}}), {"a": {"x": 1, "y": 3}, "c": {}})

    def test_a_dict_and_something_else(self):
        self.assertEqual(merge({"a": {"x": 1}, "b": 1}, {"a": 5, "b": {"z": 2}}), {"a": 5, "b": {"z": 2}})

    def test_arguments_are_left_alone(self):
        a, b = {"a": {"x": 1}}, {"a": {"y": 2}}
        self.assertEqual(merge(a, b), {"a": {"x": 1, "y": 2}})
        self.assertEqual((a, b), ({"a": {"x": 1}}, {"a": {"y": 2}}))


class TallyTest(unittest.TestCase):
    def test_sums(self):
        self.assertEqual(list(total_by_key([("b", 1), ("a", 2), ("b", 5)]).items()), [("b", 6), ("a", 2)])

    def test_no_rows(self):
        self.assertEqual(total_by_key([]), {})

    def test_fractions(self):
        self.assertAlmostEqual(total_by_key([("x", 0.5), ("x", 0.25), ("y", -1.0)])["x"], 0.75)
