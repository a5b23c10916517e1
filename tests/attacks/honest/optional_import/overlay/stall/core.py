try:
    import regex as patterns
except ImportError:
    import re as patterns


def slug(text):
    return "-".join(patterns.findall("[a-z0-9]+", text.lower()))
