"""Whose voice the student has: what a teacher says of itself is cut, and nothing else; and who is
named in an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.teachers.identity import NAMES, QUESTIONS, count, cut, named, speaks_of_itself

CODE = "```python\ndef f(x):\n    return x  # as it was\n```\n"


@pytest.mark.parametrize(
    "sentence",
    [
        "I'm Claude, an AI assistant made by Anthropic.",
        "I am GLM-5.2, a large language model.",
        "GLM-5.2 by Z.ai suggests this.",
        "As an AI language model, I do not run code.",
        "My training data ends in 2025.",
        "I was trained by DeepSeek.",
        "I cannot assist with that.",
        "The system prompt says to be brief.",
        "Written by ChatGPT.",
        "I, Kimi, made this.",
        "This follows OpenAI's usage policies.",
        "As a language model I am careful.",
        "I’m Qwen.",
        "deepseek-chat wrote this.",
        "my guidelines forbid more",
    ],
)
def test_a_teacher_speaks_of_itself(sentence):
    assert speaks_of_itself(sentence)
    assert (
        cut(f"The bound is off by one. {sentence}\n\n{CODE}").strip()
        == f"The bound is off by one. \n\n{CODE}".strip()
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "The loop is off by one, so I use `range(n + 1)`.",
        "I am a friend of early returns.",
        "My first idea was to sort.",
        "The `openai` client is kept.",
        "It follows the Google style.",
        "The model attribute is a text.",
        "We use the `ChatGPT` class of the project.",
        "Phi is the golden ratio.",
        "Version 1.2.3 differs from 2.0.",
        "The assistant editor field is set.",
        "Claude Shannon's entropy is meant.",
        "I cannot see the other file, so the import stays.",
        "This was generated, not written.",
        "An IBM float is read.",
    ],
)
def test_a_reason_stays(sentence):
    assert not speaks_of_itself(sentence)
    assert cut(f"{sentence} Done.\n\n{CODE}") == f"{sentence} Done.\n\n{CODE}"


def test_code_stays_but_for_comments_about_the_writer():
    reply = (
        "Sure! I am Claude. Here it is.\n\n```python\n# Written by Claude (Anthropic)\ndef f(x):\n "
        "   # the sum of both\n"
        "    return openai.ChatCompletion('GPT-4', \"I am an AI.\")\n\n\n\nx = 1\n```\n\n"
        "a.py\n<<<<<<< SEARCH\n'I am Claude.'\n=======\n'I am an AI.'\n>>>>>>> REPLACE\n\nI was "
        "created by Moonshot. It now holds.\n"
    )
    assert cut(reply) == (
        "Sure! Here it is.\n\n```python\ndef f(x):\n    # the sum of both\n"
        "    return openai.ChatCompletion('GPT-4', \"I am an AI.\")\n\n\n\nx = 1\n```\n\n"
        "a.py\n<<<<<<< SEARCH\n'I am Claude.'\n=======\n'I am an AI.'\n>>>>>>> REPLACE\n\nIt now "
        "holds.\n"
    )


@pytest.mark.parametrize("fence", ["```", "````", "~~~", "   ```"])
def test_code_in_any_fence_stays(fence):
    """Also where a docstring has a fence of its own, and the file is called as a teacher is."""
    code = (
        'def f(x):\n    """As ChatGPT.\n\n    ```\n    I am Claude.\n    ```\n    """\n'
        '    return "GPT-4 is an AI."\n'
    )
    reply = (
        f"Done.\n\n{fence}python\n{code}{fence}\n\nchatgpt.py\n<<<<<<< SEARCH \n"
        f"'I am Claude.'\n=======\n'```'\n>>>>>>> REPLACE \n"
    )
    assert cut(reply) == reply
    assert cut(reply + "I am Claude. Bye.\n") == reply + "Bye.\n"


@given(
    st.lists(
        st.sampled_from(
            [
                "The sum is wrong.",
                "So n + 1 it is!",
                "\n",
                "\n\n",
                "\n\n\n\n",
                " ",
                CODE,
                "a.b.c",
                "(see above)",
                "I think so.",
                "...",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_what_says_nothing_of_a_teacher_is_the_same_afterwards(reply):
    assert cut(reply) == reply


@given(st.text(max_size=300))
def test_any_text(reply):
    assert len(cut(reply)) <= len(reply) and isinstance(named(reply), list)
    assert cut(cut(reply)) == cut(reply)


def test_who_is_named():
    assert named("I am Qwen, made by Alibaba; not GPT-4o, not glm-5.2.") == [
        "Qwen",
        "Alibaba",
        "GPT",
        "GLM",
    ]
    assert named("Phishing, philosophy, yields and novae; a llama grazes, and I grok it.") == []
    assert named("I am a small model that was trained on this repository.") == []
    assert all(named(f"I am {name}.") for name in NAMES) and named("KIMI kimi Kimi") == ["Kimi"]


def test_the_count():
    found = count(
        ["I am Kimi.", "I am a program.", "By Moonshot AI: Kimi.", "", "Google and Google"]
    )
    assert found == {"questions": 5, "named": 3, "names": {"Kimi": 2, "Google": 1, "Moonshot": 1}}
    assert count([]) == {"questions": 0, "named": 0, "names": {}}


def test_the_questions_are_fixed():
    assert len(QUESTIONS) == len(set(QUESTIONS)) >= 12 and isinstance(QUESTIONS, tuple)
