import functools


def checked(test):
    def decorate(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            if not test(*args, **kwargs):
                raise ValueError(function.__name__)
            return function(*args, **kwargs)

        return inner

    return decorate


@checked(lambda x, low, high=100: low <= high)
def clamp(x, low, high=100):
    return max(low, min(x, high))


@functools.lru_cache(maxsize=8)
def words(text):
    return tuple(re.findall("[a-z0-9]+", text))


@functools.singledispatch
def slug(text):
    return "-".join(words(text.lower()))
