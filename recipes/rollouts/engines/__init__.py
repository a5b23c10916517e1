"""The engines that can sample a student. One is a file here and a line in ENGINES; nothing else
knows which there are.

    ENGINES["model"]            # the file; nothing is loaded
    engine_kind("model").open(student, recipe, folder)    # `recipes/rollouts/engine_kind.py`

The file has an `ENGINE`, an `EngineKind`: what it is called in a sentence, why it cannot sample a
student here, what memory it takes beside the student, and how it is opened. It imports what may not
be installed in functions alone.
"""

# fmt: off
ENGINES = {
    "llama.cpp": "llama_cpp",
    "model": "model",
}
# fmt: on
"""{name in recipes and run.json: file}, by preference. The last one samples any student
anywhere."""

AUTO = "auto"
"""In a recipe: the first engine that can sample the student and fits into memory beside it."""
