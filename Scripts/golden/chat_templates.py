#!/usr/bin/env python3
"""Golden texts of chat templates, rendered by transformers' apply_chat_template.

Writes Tests/HalftoneInferenceTests/Golden/chat-templates.json: the Jinja text of each template, and
what it makes of several conversations.

    pip install -r requirements.txt
    python chat_templates.py
"""
import json
import sys
from pathlib import Path

# tokenizers.py in this script's own folder would shadow the package.
OWN = Path(__file__).resolve().parent
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != OWN]

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "Tests/HalftoneInferenceTests/Golden/chat-templates.json"

CHATML_LOOP = (
    "{% for message in messages %}{DEFAULT}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def chatml(default: str) -> str:
    lead = ""
    if default:
        lead = (
            "{% if loop.first and messages[0]['role'] != 'system' %}"
            "{{ '<|im_start|>system\\n" + default + "<|im_end|>\\n' }}{% endif %}"
        )
    return CHATML_LOOP.replace("{DEFAULT}", lead)


QWEN3 = """\
{%- set ns = namespace(last=messages|length - 1, searching=true) %}
{%- for message in messages[::-1] %}
{%- if ns.searching and message.role == 'user' %}
{%- set ns.searching = false %}
{%- set ns.last = (messages|length - 1) - loop.index0 %}
{%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{%- set thoughts = '' %}
{%- set answer = message.content %}
{%- if '</think>' in answer %}
{%- set thoughts = answer.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
{%- set answer = answer.split('</think>')[-1].lstrip('\\n') %}
{%- endif %}
{%- if loop.index0 > ns.last and (loop.last or thoughts) %}
{{- '<|im_start|>assistant\\n<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n\\n' }}
{{- answer.lstrip('\\n') }}
{%- else %}
{{- '<|im_start|>assistant\\n' + answer }}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)

MISTRAL = """\
{%- if messages[0]['role'] == 'system' %}
{%- set system = messages[0]['content'] + '\\n\\n' %}
{%- set turns = messages[1:] %}
{%- else %}
{%- set system = '' %}
{%- set turns = messages %}
{%- endif %}
{{- bos_token }}
{%- for turn in turns %}
{%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('roles must alternate') }}
{%- endif %}
{%- if turn['role'] == 'user' %}
{{- USER }}
{%- else %}
{{- ASSISTANT + eos_token }}
{%- endif %}
{%- endfor %}
"""
MISTRAL_V1 = MISTRAL.replace(
    "USER", "' [INST] ' + (system if loop.first else '') + turn['content'] + ' [/INST]'"
).replace("ASSISTANT", "' ' + turn['content']")
MISTRAL_V3 = MISTRAL.replace(
    "USER", "'[INST] ' + (system if loop.last else '') + turn['content'] + '[/INST]'"
).replace("ASSISTANT", "' ' + turn['content']|trim")

# Name: template, beginning, end.
TEMPLATES = {
    "chatml": (chatml(""), "", "<|im_end|>"),
    "qwen2": (chatml("You are a helpful assistant."), "", "<|im_end|>"),
    "qwen2.5": (
        chatml("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
        "", "<|im_end|>",
    ),
    "qwen3": (QWEN3, "", "<|im_end|>"),
    "llama3": (LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
    "mistral-v1": (MISTRAL_V1, "<s>", "</s>"),
    "mistral-v3": (MISTRAL_V3, "<s>", "</s>"),
}

CONVERSATIONS = [
    [("user", "Hello?")],
    [("system", "Be brief."), ("user", "Who are you?")],
    [("user", "One"), ("assistant", "Two"), ("user", " Three \n")],
    [
        ("system", " Speak\nplainly. "), ("user", "Ärger mit “Zitaten” 🐦?"),
        ("assistant", "  Yes. \n"), ("user", "Why?"), ("assistant", "Because."), ("user", "Ah"),
    ],
    [
        ("user", "2+2?"), ("assistant", "<think>\nEasy.\n</think>\n\n4"), ("user", "And 3+3?"),
        ("assistant", "<think>\n\nHm.\n\n</think>\n\n\n6\n"),
    ],
    [("user", "Go on"), ("assistant", "Once upon")],
    [("user", ""), ("assistant", ""), ("user", "\n\n")],
]


def main() -> None:
    plain = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    cases = []
    for name, (template, beginning, end) in TEMPLATES.items():
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=plain, bos_token=beginning or None, eos_token=end)
        tokenizer.chat_template = template
        for conversation in CONVERSATIONS:
            for answering in (True, False):
                text = tokenizer.apply_chat_template(
                    [{"role": role, "content": content} for role, content in conversation],
                    tokenize=False, add_generation_prompt=answering)
                cases.append({
                    "template": name, "messages": conversation, "answering": answering,
                    "text": text,
                })
    sources = {name: template for name, (template, _, _) in TEMPLATES.items()}
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(
        json.dumps({"sources": sources, "cases": cases}, ensure_ascii=False, indent=1) + "\n")
    print(f"{len(cases)} cases in {GOLDEN.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
