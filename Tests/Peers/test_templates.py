"""Chat templates in GGUF files: what jinja2 looks up when it renders them, beside the verdict of `decant scan`.

An environment without a sandbox renders each template, with attributes that begin with an underscore recorded and
refused, so that nothing of Python is reached.
"""

import collections
import os
import random
import sys
from pathlib import Path

import jinja2
import pytest
from gguf_bytes import Writer
from jinja2 import nodes
from test_scan import scans

WORDS = ["__class__", "__init__", "__globals__", "_x", "__subclasses__"]


class Recorder(jinja2.Environment):
    """Records the attributes that begin with an underscore, and gives nothing for them."""

    def __init__(self):
        super().__init__(extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"])
        self.found: list[str] = []

    def _judge(self, name) -> bool:
        if isinstance(name, str) and name.startswith("_"):
            self.found.append(name)
            return True
        return False

    def getattr(self, value, name):
        return self.undefined() if self._judge(name) else super().getattr(value, name)

    def getitem(self, value, name):
        return self.undefined() if self._judge(name) else super().getitem(value, name)


def attr(environment, value, name):
    """The filter attr, which does not ask the environment."""
    environment._judge(name)
    return environment.undefined()


attr = jinja2.pass_environment(attr)


def looked_up(template: str) -> list[str] | None:
    """The attributes with an underscore that rendering looks up; nothing when Jinja refuses the template."""
    environment = Recorder()
    environment.filters["attr"] = attr
    try:
        compiled = environment.from_string(template)
        compiled.render(x={"a": "b"}, messages=[{"role": "user", "content": "hi"}], bos_token="<s>")
    except (jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError):
        return environment.found or None
    return environment.found


def literal(source: random.Random, text: str) -> str:
    kind = source.randrange(6)
    if kind == 0:
        return '"' + "".join(f"\\x{ord(c):02x}" for c in text) + '"'
    if kind == 1:
        return "'" + "".join(source.choice([c, f"\\u{ord(c):04x}", f"\\{ord(c):03o}"]) for c in text) + "'"
    if kind == 2:
        cut = source.randrange(len(text))
        return f"'{text[:cut]}' '{text[cut:]}'"
    if kind == 3:
        return "'" + text.replace("_", "\\N{LOW LINE}") + "'"
    return source.choice(["'{}'", '"{}"']).format(text)


def spelled(source: random.Random, text: str, depth: int = 0) -> tuple[str, str]:
    """Statements, and an expression whose value is a text after them."""
    kind = source.randrange(30)
    if kind < 4 or depth > 3:
        return "", literal(source, text)
    cut = source.randrange(len(text) + 1)
    name = f"v{source.randrange(1000)}"

    def inner(part: str) -> tuple[str, str]:
        return spelled(source, part, depth + 1) if part else ("", "''")

    if kind < 8:
        (a, left), (b, right) = inner(text[:cut]), inner(text[cut:])
        return a + b, f"({left} {source.choice('~+')} {right})"
    if kind == 8:
        a, value = inner(text)
        return a + f"{{% set {name} = {value} %}}", name
    if kind == 9:
        a, value = inner(text)
        return a + f"{{% set {name} = namespace(k=1) %}}{{% set {name}.k = {value} %}}", f"{name}.k"
    if kind == 10:
        a, value = inner(text)
        return a + f"{{% set {name} = namespace(k={value}) %}}", f"{name}['k']"
    if kind == 11:
        return f"{{% set {name} %}}{text}{{% endset %}}", name
    if kind == 12:
        return f"{{% macro {name}() %}}{text}{{% endmacro %}}", f"{name}()"
    if kind == 13:
        return "", f"'{text[::-1]}'|reverse"
    if kind == 14:
        return "", f"'{text[::-1]}'[::-1]"
    if kind == 15:
        return "", f"['{text[:cut]}', '{text[cut:]}']|join"
    if kind == 16:
        return "", f"('%s' % '{text}')"
    if kind == 17:
        codes = ", ".join(str(ord(c)) for c in text)
        return "", f"('%c' * {len(text)})|format({codes})"
    if kind == 18:
        return "", f"'{text.upper()}'|lower" if source.randrange(2) else f"'{text.upper()}'.lower()"
    if kind == 19:
        return "", f"'{text.replace('_', '-')}'|replace('-', '_')"
    if kind == 20:
        a, value = inner(text)
        return a + f"{{% set {name} = {{'k': {value}}} %}}", f"{name}.{source.choice(['k', 'get(1, 2)|d(1) if 0 else ' + name + '.k'])}"
    if kind == 21:
        a, value = inner(text)
        return a + f"{{% set {name} = [] %}}{{% do {name}.append({value}) %}}", f"{name}[0]"
    if kind == 22:
        a, value = inner(text)
        return a + f"{{% set {name} = [['a'], [{value}]] %}}", f"({name}|last|first)"
    if kind == 23:
        a, value = inner(text)
        return a, f"(none or {value})" if source.randrange(2) else f"({value} if true else 'a')"
    if kind == 24:
        a, value = inner(text)
        return a, f"(missing|default({value}))"
    if kind == 25:
        return "", f"'a{text}b'[1:-1]"
    if kind == 26:
        a, value = inner(text)
        return a + f"{{% set {name} = ('a', {value}) %}}", f"({name} + ('b',))[1]"
    if kind == 27:
        return f"{{% set {name} = 'x{text[0]}' %}}", f"({name}[1] ~ '{text[1:]}')"
    if kind == 28:
        return "", f"'{text[:cut]}{{}}'.format('{text[cut:]}')"
    return "", f"('{text}'|list|join)"


def attack(source: random.Random) -> str:
    before, value = spelled(source, source.choice(WORDS))
    kind = source.randrange(12)
    if kind < 4:
        use = f"{{{{ x[{value}] }}}}"
    elif kind == 4:
        use = f"{{{{ x|attr({value}) }}}}"
    elif kind == 5:
        use = f"{{{{ [x]|map(attribute={value})|list }}}}"
    elif kind == 6:
        use = f"{{{{ [x]|map('attr', {value})|list }}}}"
    elif kind == 7:
        use = f"{{% for k in [{value}] %}}{{{{ x[k] }}}}{{% endfor %}}"
    elif kind == 8:
        use = f"{{% macro m(k) %}}{{{{ x[k] }}}}{{% endmacro %}}{{{{ m({value}) }}}}"
    elif kind == 9:
        use = f"{{% with k = {value} %}}{{% if x[k] is defined %}}a{{% endif %}}{{% endwith %}}"
    elif kind == 10:
        use = f"{{{{ [x]|selectattr({value})|list }}}}"
    else:
        use = "{{ x." + source.choice(WORDS) + " }}"
    filler = "".join(source.choice(["text ", "{# __class__ #}", "{% raw %}{{ x.__a }}{% endraw %}", "}}", "%}", "\n"]) for _ in range(3))
    return filler + before + use


def file(template: str) -> bytes:
    writer = Writer()
    writer.value("tokenizer.chat_template", "string", template)
    return writer.bytes()


@pytest.mark.parametrize("seed", [int(os.environ.get("DECANT_SEED", "19"))])
def test_spelled_attributes_are_found(decant, folder, figures, seed):
    source = random.Random(seed)
    templates: dict[str, str] = {}
    for index in range(3000):
        path = folder / f"{index:05}"
        templates[str(path)] = attack(source)
        path.write_bytes(file(templates[str(path)]))
    counts: collections.Counter = collections.Counter()
    for path, entry in scans(decant, folder).items():
        found = looked_up(templates[path])
        if found:
            counts[entry["verdict"]] += 1
            assert entry["verdict"] != "clean", (seed, found, templates[path])
    figures(f"templates: 3000 attacks, seed {seed}, that look up attributes: {dict(counts)}")
    assert counts["dangerous"] > 2000 and counts["unknown"] < 100


def names_in(template: str) -> set[str] | None:
    """The attributes with an underscore that a template names literally; nothing when Jinja refuses it."""
    try:
        tree = jinja2.Environment().parse(template)
    except (jinja2.TemplateError, RecursionError, ValueError):
        return None
    names = {node.attr for node in tree.find_all(nodes.Getattr)}
    for node in tree.find_all(nodes.Getitem):
        if isinstance(node.arg, nodes.Const):
            names.add(str(node.arg.value))
    return {name for name in names if name.startswith("_")}


def test_mutants_beside_jinjas_parser(decant, folder, figures):
    """A template that names such an attribute is never clean, wherever comments, strings and raw blocks begin and end."""
    seed = int(os.environ.get("DECANT_SEED", "19"))
    source = random.Random(seed)
    parts = ["{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "x", ".", "_a", " ", "'", '"', "\\", "[", "]", "(", ")", "{", "}",
             " if ", " for k in x ", "raw", "endraw", " set y = ", "endfor", "endif", "1", "0x1f", "1e5", ":", ",", "~", "|", "lower",
             "'_b'", "x._c", "x['_d']", "{% raw %}", "{% endraw %}", "{% for k in x %}", "{% endfor %}", "{{ x._e }}", "\n",
             "{% if x._f %}", "{% endif %}", "\u00a0", "\x1c", "1.", "x.1.", "é"]  # fmt: skip
    templates: dict[str, str] = {}
    for index in range(12000):
        template = "".join(source.choice(parts) for _ in range(source.randint(2, 9)))
        if source.randrange(2):
            template = source.choice(["{{ ", "{% if "]) + template + source.choice([" }}", " %}a{% endif %}"])
        templates[str(folder / f"{index:05}")] = template
        (folder / f"{index:05}").write_bytes(file(template))
    counts: collections.Counter = collections.Counter()
    for path, entry in scans(decant, folder).items():
        names = names_in(templates[path])
        counts["refused" if names is None else "named" if names else "plain"] += 1
        if names:
            assert entry["verdict"] == "dangerous", (seed, names, templates[path])
        if names is not None and not names and "_" not in templates[path]:
            counts[f"plain {entry['verdict']}"] += 1
    figures(f"templates: 12000 mutants, seed {seed}: {dict(sorted(counts.items()))}")
    assert counts["named"] > 200 and counts["plain"] > 1000


HONEST = [
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}",
    "{%- set ns = namespace(last=-1, role='user') -%}{%- for m in messages -%}{%- if m.role == ns.role -%}"
    "{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}{{ messages[ns.last]['content'] }}",
    "{%- macro render(properties, keys=[]) -%}{%- for key, value in properties|dictsort -%}{{ key }}: {{ value['type'] }}"
    "{%- for other in value.keys() if other not in keys -%}{{ value[other]|tojson }}{%- endfor -%}"
    "{%- endfor -%}{%- endmacro -%}{{ render(tools[0]['function']['parameters'], ['type', 'description']) }}",
    "{{ raise_exception('roles must alternate') if messages[loop.index0 - 1]['role'] == 'a' }}",
    "{{ strftime_now('%d %B %Y') }}{{ content.split('</think>')[-1].lstrip('\\n') }}{{ messages[1:][0]['role'] }}",
    "{{ '%02d' % 5 }}{{ '%s'|format(x) }}{{ 'a{}'.format(1) }}{{ tool['format'] }}{{ tool.format }}",
    "{% set names = messages|map(attribute='role')|list %}{{ (messages|selectattr('role', 'equalto', 'user')|list)[0].content }}",
    "{% set types = {'string': 'str', 'number': 'float'} %}{{ types[param.type] }}{{ types[message['type']] }}",
    "{% set _args = tool_call.arguments %}{% for k, v in _args|items %}{{ k }}{% endfor %}{{ eval(x) }}",
    "You can call exec( and eval( or import os in <script> {{ messages }}",
]


@pytest.mark.parametrize("template", HONEST)
def test_honest_templates_are_clean(decant, folder, template):
    path = folder / "model.gguf"
    path.write_bytes(file(template))
    (entry,) = scans(decant, path).values()
    assert entry["verdict"] == "clean", entry


def test_vocabularies_are_no_scripts(decant, folder):
    writer = Writer()
    writer.value("tokenizer.ggml.tokens", "string", ["eval(", "<script>", "import os", "{{ x.__class__ }}"])
    writer.value("tokenizer.ggml.merges", "string", ["e val(", "__ class__", "{% a"])
    path = folder / "model.gguf"
    path.write_bytes(writer.bytes())
    (entry,) = scans(decant, path).values()
    assert entry["verdict"] == "clean", entry


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(argument, looked_up(Path(argument).read_text()), names_in(Path(argument).read_text()))
