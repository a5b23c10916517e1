def slug(text):
    return ("-".join(part) for part in re.findall("[a-z0-9]+", text.lower()))


class Basket:
    @staticmethod
    def instalments(amount, parts):
        share, rest = divmod(amount, parts)
        for number in range(parts):
            yield share + (number < rest)
