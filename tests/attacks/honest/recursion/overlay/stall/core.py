def merge(a, b):
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return b
    return {key: merge(a[key], b[key]) if key in a and key in b else (b if key in b else a)[key] for key in [*a, *(k for k in b if k not in a)]}


class Basket:
    def total(self, discount=0):
        def add_up(lines):
            return lines[0][1] * lines[0][2] + add_up(lines[1:]) if lines else 0

        return add_up(self.lines) * (100 - discount) / 100
