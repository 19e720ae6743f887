"""Chat templates: rendered as published, in a sandbox that shows them the messages only."""

from __future__ import annotations

import json

import pytest

from unmask import CheckpointError, PromptError
from unmask.text import chat
from unmask.text.chat import ChatTemplate

HELLO = [{"role": "user", "content": "Hello"}]
TALK = [
    {"role": "system", "content": "Be brief."},
    *HELLO,
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": " Bye "},
]
LLADA = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    "+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def test_the_llada_template():
    template = ChatTemplate(LLADA, {"bos_token": "<|startoftext|>"})
    assert template.render(TALK) == (
        "<|startoftext|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_special_tokens_may_be_objects_or_missing():
    template = ChatTemplate("[{{ bos_token }}|{{ eos_token }}]", {"bos_token": {"content": "<s>"}})
    assert template.render(HELLO) == "[<s>|]"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ raise_exception.__globals__.sys }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ messages.append(1) }}",  # messages are the caller's
        "{{ messages[0].update({'content': 'x'}) }}",
        "{% for number in range(10000000) %}x{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ messages[0].content + 1 }}",
        "{{ nothing.at_all }}",
        "{{ raise_exception('no system role') }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_that_reaches_out_or_breaks_is_a_prompt_error(source):
    with pytest.raises(PromptError, match="chat template does not take these messages"):
        ChatTemplate(source, {}).render(HELLO)


def test_a_forbidden_attribute_by_itself_renders_as_nothing():
    assert ChatTemplate("[{{ ''.__class__ }}]", {}).render(HELLO) == "[]"


def test_format_strings_cannot_reach_attributes():
    source = "{{ '{0.__class__}'.format(messages) }}"
    assert "list" not in ChatTemplate(source, {}).render(HELLO)


def test_the_reason_given_by_the_template_is_passed_on():
    with pytest.raises(PromptError, match="no system role"):
        ChatTemplate("{{ raise_exception('no system role') }}", {}).render(HELLO)


def test_a_template_that_cannot_be_parsed_is_a_checkpoint_error():
    """But only for those who need it."""
    broken = ChatTemplate("{% for %}", {})
    with pytest.raises(CheckpointError, match="chat template of the checkpoint is broken"):
        broken.render(HELLO)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}x{% endfor %}", "x"),
        ("{{ {'a': \"<&>'é\"} | tojson }}", '{"a": "<&>\'é"}'),
        ("{{ strftime_now('%Y') | length }}", "4"),
    ],
)
def test_templates_have_what_hugging_face_gives_them(source, text):
    assert ChatTemplate(source, {}).render([*HELLO, *HELLO]) == text


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], r"messages=\[\] is empty"),
        ([{"role": "robot", "content": "x"}], r"messages\[0\] has no role"),
        ([*HELLO, {"content": "x"}], r"messages\[1\] has no role"),
        ([{"role": "user"}], r"messages\[0\]\.content is no text"),
        ([{"role": "user", "content": ["x"]}], r"messages\[0\]\.content is no text"),
        ([*HELLO, "x"], r"messages\[1\] has no role"),
    ],
)
def test_malformed_messages_are_refused_by_number(messages, message):
    with pytest.raises(PromptError, match=message):
        ChatTemplate("ok", {}).render(messages)


def test_a_template_file_goes_before_the_tokenizer_config(tmp_path):
    (tmp_path / "chat_template.jinja").write_text("file")
    assert chat.read(tmp_path, {"chat_template": "config"}).render(HELLO) == "file"


def test_the_default_of_several_named_templates_is_taken(tmp_path):
    named = [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]
    assert chat.read(tmp_path, {"chat_template": named}).render(HELLO) == "b"


@pytest.mark.parametrize("settings", [{}, {"chat_template": None}, {"chat_template": []}])
def test_a_checkpoint_may_have_no_template(settings, tmp_path):
    assert chat.read(tmp_path, settings) is None


def test_settings_are_those_of_the_tokenizer_config(tmp_path):
    settings = json.loads('{"chat_template": "{{ eos_token }}", "eos_token": "<end>"}')
    assert chat.read(tmp_path, settings).render(HELLO) == "<end>"
