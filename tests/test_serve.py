"""An exported student served over HTTP by llama.cpp's own server, as any other program would serve
it."""

import json
import urllib.request

import pytest

from recipes.nano import nano_student
from recipes.rollouts.gguf import export_base
from tests.serving import served
from tests.tiny import load_tiny, make_tiny, make_tokenizer

PROMPT = 'def f(values, n):\n    """Return the sum of values."""\n'


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """Random weights, with the nano student's way of splitting text and its chat template."""
    from tokenizers import Regex, pre_tokenizers

    tokenizer = make_tokenizer(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(nano_student.SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    )
    tokenizer.chat_template = nano_student.CHAT_TEMPLATE
    folder = make_tiny(tmp_path_factory.mktemp("models") / "nano")
    tokenizer.save_pretrained(folder)
    return load_tiny(folder, wake=0.0)


@pytest.fixture(scope="module")
def server(student, tmp_path_factory):
    """Base URL of `python -m llama_cpp.server` with the student's file."""
    with served(
        export_base(student, tmp_path_factory.mktemp("gguf")),
        tmp_path_factory.mktemp("server"),
        256,
    ) as url:
        yield url


def ask(url: str, body: dict) -> dict:
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request, timeout=60))


@pytest.mark.slow
def test_the_server_answers_with_what_the_student_would_say(server, student):
    from recipes.rollouts.model_engine import ModelEngine

    messages = [{"role": "user", "content": PROMPT}]
    ids = student.prompt_ids(messages)
    answer = ask(
        server, {"model": "student", "messages": messages, "max_tokens": 6, "temperature": 0}
    )
    assert answer["usage"] == {
        "prompt_tokens": len(ids),
        "completion_tokens": 6,
        "total_tokens": len(ids) + 6,
    }
    greedy = ModelEngine(student).sample([ids], 1, 0.0, 6, [0])[0][0]
    assert not greedy.finished and answer["choices"][0]["finish_reason"] == "length"
    # An untrained student writes bytes that are no UTF-8; the server leaves them out.
    assert (
        answer["choices"][0]["message"]["content"]
        == student.text(greedy.ids).replace("\ufffd", "")
        != ""
    )
