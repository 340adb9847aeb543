"""Runs a command on a pseudo-terminal and turns what it shows into HTML."""

import fcntl
import html
import os
import pty
import re
import struct
import termios

# Colours of the sixteen names, on a dark ground.
PALETTE = ["#2b3336", "#f2777a", "#86d49c", "#e9c46a", "#74a8e0", "#c792d8", "#7accc4", "#d5dadb",
           "#7d888b", "#ff9d92", "#a6e3b5", "#f4d88b", "#9cc4f0", "#dcb3e8", "#a5e0da", "#ffffff"]  # fmt: skip
SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>()][A-Z0-9]?")


def capture(command: str, columns: int, rows: int = 50, folder=None, environment=None) -> str:
    """Returns everything that a shell command writes to a terminal of the given size."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder or ".")
        os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"} | (environment or {}))
        os.execvp("sh", ["sh", "-c", command])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    received = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        received += piece
    os.close(terminal)
    os.waitpid(child, 0)
    return received.decode("utf-8", "replace")


class Screen:
    """The lines of a terminal that scrolls without end."""

    def __init__(self, text: str, columns: int):
        self.columns = columns
        self.lines = [[]]
        self.column = 0
        self.style = {}
        place = 0
        for match in SEQUENCE.finditer(text):
            self._write(text[place : match.start()])
            self._obey(match[1], match[2])
            place = match.end()
        self._write(text[place:])
        while self.lines and not self.lines[-1]:
            self.lines.pop()

    def _write(self, text: str):
        for character in text:
            if character == "\n":
                self.lines.append([])
                self.column = 0
            elif character == "\r":
                self.column = 0
            elif character >= " ":
                if self.column == self.columns:
                    self.lines.append([])
                    self.column = 0
                line = self.lines[-1]
                line.extend([(" ", {})] * (self.column + 1 - len(line)))
                line[self.column] = (character, dict(self.style))
                self.column += 1

    def _obey(self, parameters: str | None, command: str | None):
        if command == "K":
            line = self.lines[-1]
            del line[0 if parameters == "2" else self.column :]
        elif command == "m":
            codes = [int(code or 0) for code in (parameters or "0").split(";")]
            while codes:
                self._dress(codes.pop(0), codes)

    def _dress(self, code: int, rest: list[int]):
        if code == 0:
            self.style = {}
        elif code in (1, 2, 3, 4, 7):
            self.style[{1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse"}[code]] = True
        elif code in (22, 23, 24, 27):
            for name in {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",)}[code]:
                self.style.pop(name, None)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            self.style["color"] = PALETTE[code - 30 if code < 90 else code - 82]
        elif 40 <= code <= 47:
            self.style["ground"] = PALETTE[code - 40]
        elif code in (39, 49):
            self.style.pop("color" if code == 39 else "ground", None)
        elif code in (38, 48) and rest:
            kind = rest.pop(0)
            if kind == 5 and rest:
                color = _indexed(rest.pop(0))
            elif kind == 2 and len(rest) >= 3:
                color = "#%02x%02x%02x" % tuple(rest.pop(0) for _ in range(3))
            else:
                return
            self.style["color" if code == 38 else "ground"] = color


def _indexed(index: int) -> str:
    """Returns a colour of the table of 256."""
    if index < 16:
        return PALETTE[index]
    if index >= 232:
        return "#%02x%02x%02x" % ((8 + 10 * (index - 232),) * 3)
    steps = [0, 95, 135, 175, 215, 255]
    index -= 16
    return "#%02x%02x%02x" % (steps[index // 36], steps[index // 6 % 6], steps[index % 6])


def page(command: str, text: str, columns: int, rows: int) -> str:
    """Returns a page that shows a prompt with the command, and the first rows of what it wrote."""
    screen = Screen(text, columns)
    lines = [_line(line) for line in screen.lines[:rows]]
    if len(screen.lines) > rows:
        lines.append(f'<span style="color:{PALETTE[8]}">… {len(screen.lines) - rows} more lines</span>')
    return f"""<!DOCTYPE html><meta charset="utf-8"><style>
body{{margin:0;width:max-content;background:#13181a;color:#d5dadb;padding:18px 22px;font:14px/1.4 "DejaVu Sans Mono",monospace}}
pre{{margin:0;font:inherit;width:{columns}ch}}
</style><pre><span style="color:{PALETTE[6]}">$</span> <b>{html.escape(command)}</b>
{chr(10).join(lines)}</pre>"""


def _line(line: list) -> str:
    """Returns a line with one element for each run of equal style."""
    parts, place = [], 0
    while place < len(line):
        style, end = line[place][1], place
        while end < len(line) and line[end][1] == style:
            end += 1
        text = html.escape("".join(character for character, _ in line[place:end]))
        css = [f"color:{style['color']}"] if "color" in style else []
        css += [f"background:{style['ground']}"] if "ground" in style else []
        css += [rule for name, rule in [("bold", "font-weight:700"), ("dim", "opacity:.6"), ("italic", "font-style:italic"),
                ("underline", "text-decoration:underline"), ("reverse", "filter:invert(1)")] if name in style]  # fmt: skip
        parts.append(f'<span style="{";".join(css)}">{text}</span>' if css else text)
        place = end
    return "".join(parts)
