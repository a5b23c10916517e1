def peaks(numbers):
    best = 0
    for number in numbers:
        best = max(best, number)
        yield best
