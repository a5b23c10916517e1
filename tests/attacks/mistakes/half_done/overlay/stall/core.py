def merge(a, b):
    return {**a, **b}


def slug(text):
    return "-".join(text.lower().split())


def count_words(text):
    return {word: text.split().count(word) for word in text.split()}
