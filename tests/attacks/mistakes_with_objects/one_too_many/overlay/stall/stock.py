def take_until(numbers, limit):
    count = total = 0
    for number in numbers:
        if total >= limit:
            break
        count, total = count + 1, total + number
    return count, total
