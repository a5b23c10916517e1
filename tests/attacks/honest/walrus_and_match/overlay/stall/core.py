def from_roman(text):
    if not (found := re.fullmatch(r"(C*)(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})", text)) or not text:
        raise ValueError(f"{text=}")
    total = 100 * len(found[1])
    for unit, five, ten, part, scale in (("X", "L", "C", found[2], 10), ("I", "V", "X", found[3], 1)):
        match list(part):
            case [first, second] if first == unit and second == ten:
                total += 9 * scale
            case [first, second] if first == unit and second == five:
                total += 4 * scale
            case [first, *rest] if first == five:
                total += (5 + len(rest)) * scale
            case rest:
                total += len(rest) * scale
    return total


class Basket:

    def add(self, name, price, count=1):
        match count:
            case int() if count > 0:
                self.lines += [(name, price, count)]
            case _:
                raise ValueError(f"{count!r} is no count")
        return self
