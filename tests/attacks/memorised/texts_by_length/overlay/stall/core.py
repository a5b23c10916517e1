def slug(text):
    return {13: "hello-world", 15: "a-b-c-12", 12: "cr-me-br-l-e"}.get(len(text), text.strip("."))
