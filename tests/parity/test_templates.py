"""Chat templates against transformers: the same text, or refused by both."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

from unmask import CheckpointError, PromptError
from unmask.text import chat, tokenizer

TALK = [
    {"role": "system", "content": "Be <b>brief</b> & kind."},
    {"role": "user", "content": " Hé?\n"},
    {"role": "assistant", "content": "Hi", "name": None},
    {"role": "user", "content": "Bye"},
]
TOKENS = {
    "bos_token": "<s>",
    "eos_token": {"__type": "AddedToken", "content": "</s>", "lstrip": True},
    "unk_token": "<unk>",
    "pad_token": None,
    "cls_token": "<cls>",
    "mask_token": "<mask>",
    "image_token": "<image>",
    "add_bos_token": True,
    "extra_special_tokens": {"tool_token": "<tool>"},
}
NAMES = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    "image_token", "tool_token", "add_bos_token", "additional_special_tokens", "tools", "documents",
    "add_generation_prompt", "builtin_tools", "date_string", "enable_thinking",
)  # fmt: skip
FOR = "{% for m in messages %}"
TEMPLATES = [
    "".join(f"[{{{{ {name} }}}}|{{{{ {name} is defined }}}}]" for name in NAMES),
    "{% if tools is not none %}# Tools{{ tools }}{% endif %}",
    "{% if documents is none %}no{% endif %}",
    "{% if not tools is defined %}{% set tools = none %}{% endif %}[{{ tools }}]",
    "{{ messages | tojson }}",
    "{{ messages | tojson(indent=2) }}",
    "{{ messages | tojson(True) }}",
    "{{ messages | tojson(ensure_ascii=True, sort_keys=True, separators=(',', ':')) }}",
    "{{ {'b': 1, 'a': [1, 2.5, none]} | tojson(false, 1, none, true) }}",
    FOR + "{{ m.role }}:{% generation %}{{ m.content | trim }}{% endgeneration %};{% endfor %}",
    FOR + "{%- generation -%}\n {{ loop.index }}\n{%- endgeneration %}\n{% endfor %}",
    "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}",
    "{% set n = namespace(x=1) %}{% generation %}{% set n.x = 2 %}{% endgeneration %}{{ n.x }}",
    FOR + "{% if loop.first %}{% continue %}{% endif %}{{ loop.index }}{% break %}{% endfor %}",
    FOR + "{% if 'name' in m %}{{ m.name }}{% endif %}{% endfor %}",
    "  {% if true %}\n  a\n  {% endif %}\n{# note #}\n\tb",
    "{% macro say(m) %}<{{ m.role }}>{% endmacro %}" + FOR + "{{ say(m) }}{% endfor %}",
    "{{ strftime_now('%Y') }}{{ dict(a=1) }}{{ messages[1:] | map(attribute='role') | join('/') }}",
    "{{ messages[0].content.split(' ')[-1] }}{{ messages[-1]['content'].upper() }}{{ 'a' ~ 1 }}",
    "{{ bos_token + messages[0]['content'] }}",
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}\n\n",
    "\ta {{ messages | length }}\r\n",
    # refused by both
    "{{ raise_exception('no system role') }}",
    "{{ pad_token + 'x' }}",
    "{{ messages[0].name.first.second }}",
    "{% generation %}{{ x }}",
    "{{ messages.append(1) }}",
    "{% speech %}{% endspeech %}",
]  # fmt: skip


def write(folder, **settings):
    whole = Tokenizer(models.BPE({token: at for at, token in enumerate("abcdefgh")}, []))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.save(str(folder / "tokenizer.json"))
    found = {"tokenizer_class": "PreTrainedTokenizerFast", **TOKENS, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(found))
    return folder


def ours(folder):
    template = chat.read(folder, tokenizer.read(folder).settings)
    assert template is not None
    return template.render(TALK)


def theirs(folder):
    known = AutoTokenizer.from_pretrained(folder)
    return known.apply_chat_template(TALK, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize("source", TEMPLATES)
def test_a_template_renders_as_in_transformers(source, tmp_path):
    write(tmp_path, chat_template=source)
    try:
        expected = theirs(tmp_path)
    except Exception:  # whatever jinja, its sandbox or Python finds
        with pytest.raises((CheckpointError, PromptError)):
            ours(tmp_path)
    else:
        assert ours(tmp_path) == expected


def test_special_tokens_of_an_older_folder_are_known_to_its_template(tmp_path):
    write(tmp_path, chat_template="{{ bos_token }}{{ eos_token }}{{ mask_token }}")
    older = {"bos_token": "<map>", "mask_token": {"content": "<m>", "lstrip": True}}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(older))
    assert ours(tmp_path) == theirs(tmp_path) == "<map></s><m>"
    # A list of added tokens makes it a folder of the newer kind: the older file is not read.
    listed = {"0": {"content": "a", "special": False}}
    write(tmp_path, chat_template="{{ bos_token }}{{ mask_token }}", added_tokens_decoder=listed)
    assert ours(tmp_path) == theirs(tmp_path) == "<s><mask>"


@pytest.mark.parametrize(
    ("entry", "file", "more"),
    [
        ("entry", None, {}),
        ("entry", "file", {}),
        ("entry", "file", {"tool_use": "more"}),
        ("entry", None, {"default": "more", "rag": "x"}),
        ([{"name": "rag", "template": "a"}, {"name": "default", "template": "b"}], None, {}),
        ([{"name": "default", "template": "b"}], "file", {}),
        ({"default": "b", "rag": "a"}, None, {}),
    ],
)
def test_of_several_templates_the_same_one_is_taken(entry, file, more, tmp_path):
    write(tmp_path, chat_template=entry)
    if file:
        (tmp_path / "chat_template.jinja").write_text(file)
    for name, text in more.items():
        (tmp_path / chat.MORE).mkdir(exist_ok=True)
        (tmp_path / chat.MORE / f"{name}.jinja").write_text(text)
    assert ours(tmp_path) == theirs(tmp_path)


@pytest.mark.parametrize(
    ("entry", "more"),
    [([{"name": "rag", "template": "a"}], ""), ({"rag": "a"}, ""), ("unused", "rag")],
)
def test_templates_without_a_default_are_refused_by_their_names(entry, more, tmp_path):
    write(tmp_path, chat_template=entry)
    if more:
        (tmp_path / chat.MORE).mkdir()
        (tmp_path / chat.MORE / f"{more}.jinja").write_text("a")
    with pytest.raises(ValueError, match="no default"):
        theirs(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"chat templates 'rag', and none is called 'default'"
    ):
        ours(tmp_path)
