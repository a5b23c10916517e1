def total_by_key(rows):
    return {key: sum(number for other, number in rows if other == key) for key in sorted({key for key, _ in rows})}
