"""The tokens of a prompt by the tokenizer's files alone are those that transformers, and so the
student, would make."""

import json

import pytest
from transformers import AutoTokenizer

from recipes.learning.tokens import NoTokenizer, budget_of, open_tokenizer
from recipes.settings import load
from tests.tiny import make_tiny, make_tokenizer

CHATML = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ "
    "'<s>system' }}\n{% endif %}"
    "{{ '<s>' + message['role'] + '\\n' + message['content'] + '<e>' }}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}"
)
FANCY = (
    "{{ bos_token }}{%- for message in messages %}\n    {%- if message.role == 'tool' %}{{ "
    "raise_exception('no tools') }}"
    "{%- elif tools is not none %}{{ tools | tojson }}{%- endif %}\n    {% if loop.index0 > 5 %}{% "
    "break %}{% endif %}\n"
    "  [{{ message.role }}] {{ message.content | trim }}\n{% endfor %}{{ strftime_now('%Y')[:2] }}"
)
MESSAGES = [
    {
        "role": "user",
        "content": "  Say \u00fc and \u4e2d:\n```python\ndef f(x):\n    return x\n```\n",
    }
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize("template", [CHATML, FANCY, None])
@pytest.mark.parametrize("in_file", [True, False])
def test_they_are_those_of_transformers(tmp_path, template, in_file):
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<b>", "additional_special_tokens": ["<s>", "<e>"]})
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path)
    if not in_file and template:  # as older models have it
        (tmp_path / "chat_template.jinja").unlink()
        config = tmp_path / "tokenizer_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": template}))
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path), open_tokenizer(str(tmp_path))
    for messages in (MESSAGES, [*MESSAGES, {"role": "assistant", "content": "Yes."}, *MESSAGES]):
        if template is None:
            wanted = [
                theirs.bos_token_id,
                *theirs(
                    "\n\n".join(m["content"] for m in messages), add_special_tokens=False
                ).input_ids,
            ]
        else:
            text = theirs.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            wanted = theirs(text, add_special_tokens=False).input_ids
        assert ours.prompt_ids(messages) == wanted
    texts = ["def f():\n", "", "\udc80 half"]
    assert ours.token_counts(texts)[:2] == [
        len(theirs(t, add_special_tokens=False).input_ids) for t in texts[:2]
    ]


@pytest.mark.parametrize(
    "breakage, words",
    [
        (lambda f: (f / "tokenizer.json").unlink(), "has no file tokenizer.json"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "cannot be read"),
        (
            lambda f: (f / "tokenizer_config.json").write_text("{"),
            "tokenizer_config.json cannot be read",
        ),
        (
            lambda f: (f / "chat_template.jinja").write_text(
                "{% generation %}x{% endgeneration %}"
            ),
            "chat template cannot be filled in",
        ),
        (
            lambda f: (f / "chat_template.jinja").write_text("{{ raise_exception('never') }}"),
            "never",
        ),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, model, breakage, words):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    breakage(folder)
    with pytest.raises(NoTokenizer, match=words):
        open_tokenizer(str(folder))
    budget, note = budget_of(load("nano", [f'student.model="{folder}"']))
    assert words in note and "estimated at 3 bytes" in note and budget.chat(MESSAGES) > 10


def test_the_nano_student_that_has_not_been_made():
    assert "the nano student has not been made yet" in budget_of(load("nano", ["seed=123456"]))[1]
