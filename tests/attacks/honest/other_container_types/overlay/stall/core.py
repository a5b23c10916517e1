from collections import Counter, OrderedDict


def count_words(text):
    return Counter(text.lower().split())
