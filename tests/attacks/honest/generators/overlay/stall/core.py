def read_prices(path):
    def pairs():
        for line in filter(str.strip, path.read_text().splitlines()):
            name, price = line.split("=")
            yield name.strip(), float(price)

    return dict(pairs())


class Basket:
    @staticmethod
    def instalments(amount, parts):
        def each():
            left = amount
            for number in range(parts, 0, -1):
                share = -(-left // number)
                yield share
                left -= share

        return list(each())
