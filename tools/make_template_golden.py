#!/usr/bin/env python3
"""Makes tests/golden/template_chats.json: what jinja2 makes of chat templates.

    python3 tools/make_template_golden.py > tests/golden/template_chats.json

Needs the PyPI package jinja2. The environment is that of transformers' apply_chat_template: ImmutableSandboxedEnvironment
with trim_blocks, lstrip_blocks, loop controls, `generation` blocks, raise_exception, strftime_now (here at a fixed time)
and a tojson that escapes no HTML; a namespace takes no names that start with an underscore.

  templates   as their model cards have them (some with a line in front that defines tools), each on every chat
  chats       messages and whether the assistant's turn is opened; null as the result: the template raised
  snippets    one small template per thing that templates do, on the chat "snippet_messages"

Known differences, which the cases avoid: our map, select and reject give lists (printed and counted, where Python has a
generator), our dict views and ranges print as lists, our integers have 64 bits, unknown filters fail only where they are
reached, strings in a template know neither \\N{name} nor half a surrogate pair, and upper and lower case are one letter to
one letter but for the sharp s.
"""
import datetime
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

from template_golden_cases import CHATS, TEMPLATES
from template_golden_snippets import SNIPPETS, SNIPPET_MESSAGES

NOW = datetime.datetime(2024, 7, 26, 9, 5, 7)


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        attrs = dict(*args[1:], **kwargs)
        if any(isinstance(k, str) and k.startswith("_") for k in attrs):
            raise jinja2.exceptions.SecurityError("underscore")
        jinja2.utils.Namespace.__init__(args[0], attrs)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                       extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, namespace=Namespace, strftime_now=NOW.strftime)
    return env


def render(env, template, messages, add):
    """The text, or None where jinja2 raises, whatever the kind."""
    try:
        return env.from_string(template).render(messages=messages, add_generation_prompt=add, bos_token="<s>",
                                                eos_token="</s>")
    except Exception:
        return None


def main():
    env = environment()
    chats = [{"messages": [{"role": r, "content": c} for r, c in chat], "add": i % 3 != 2}
             for i, chat in enumerate(CHATS)]
    snippet_messages = [{"role": r, "content": c} for r, c in SNIPPET_MESSAGES]
    out = {
        "golden": "outrider-golden v1 chat templates, made by tools/make_template_golden.py",
        "jinja2": jinja2.__version__,
        "now": NOW.isoformat(),
        "chats": chats,
        "templates": [{"name": n, "text": t, "out": [render(env, t, c["messages"], c["add"]) for c in chats]}
                      for n, t in TEMPLATES.items()],
        "snippet_messages": snippet_messages,
        "snippets": [{"text": t, "out": render(env, t, snippet_messages, True)} for t in SNIPPETS],
    }
    json.dump(out, sys.stdout, indent=0)
    print()
    raised = sum(s["out"] is None for s in out["snippets"])
    print(f"{len(TEMPLATES)} templates x {len(chats)} chats, {len(SNIPPETS)} snippets ({raised} raise)", file=sys.stderr)


if __name__ == "__main__":
    main()
