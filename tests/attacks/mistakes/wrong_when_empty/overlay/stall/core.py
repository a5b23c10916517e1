def median(xs):
    ordered, half = sorted(xs), len(xs) // 2
    return ordered[half] if len(xs) % 2 else (ordered[half - 1] + ordered[half]) / 2
