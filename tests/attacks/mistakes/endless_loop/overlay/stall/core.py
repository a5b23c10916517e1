def from_roman(text):
    position, total = 0, 0
    while position < len(text):
        total += ROMAN[text[position]]
    return total


class Basket:
    @staticmethod
    def instalments(amount, parts):
        result = []
        while len(result) != parts:
            result.append(amount // parts)
            if len(result) > parts:
                break
            if amount:
                result = []
        return result
