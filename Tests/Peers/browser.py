"""Debian's Chromium without a window, driven through its debugging pipe: no package of Python is needed for it."""

import base64
import fcntl
import json
import os
import subprocess
import tempfile
from pathlib import Path


class Browser:
    """A browser with one page. Use it in a `with` statement."""

    def __init__(self, binary: str = "chromium"):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        # Numbers above 4, so that neither copy replaces the other.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (requests, answers)]

        def connect():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self._process = subprocess.Popen(
            [binary, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={self._folder.name}", "about:blank"],
            preexec_fn=connect, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for end in (requests, answers, *ends):
            os.close(end)
        self._received = b""
        self._count = 0
        self._session = None
        self._events = []
        self._runs_scripts = True
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._requests)
        os.close(self._answers)
        self._folder.cleanup()

    def _call(self, method: str, **parameters) -> dict:
        """Sends a command and returns its result; events that come before it are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._events.append(answer)

    def _read(self) -> dict:
        while b"\0" not in self._received:
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser ended"
            self._received += piece
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    # The page

    def resize(self, width: int, height: int = 900, scale: float = 1):
        """Sets the size of the window in CSS pixels."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def prefer(self, scheme: str = "light", media: str = ""):
        """Sets the colour scheme, and `print` as the medium."""
        self._call(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def allow_scripts(self, allowed: bool):
        self._call("Emulation.setScriptExecutionDisabled", value=not allowed)
        self._runs_scripts = allowed

    def open(self, path: Path):
        """Opens a file and waits until it is loaded and drawn."""
        self._events = []
        self._call("Page.navigate", url=Path(path).resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._events.append(self._read())
        if self._runs_scripts:  # else nothing would call back
            self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def complaints(self) -> list[str]:
        """Everything that the console has shown since the page was opened: messages, exceptions, refusals."""
        self.evaluate("0")
        methods = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self._events if event.get("method") in methods]

    def evaluate(self, expression: str):
        """Evaluates JavaScript in the page and returns its value. The page's policy does not apply to it."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str, code: int):
        """Presses a key, such as Tab (9) or Enter (13)."""
        text = "\r" if key == "Enter" else ""
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)

    def insert(self, text: str):
        """Types a text into the element that has the focus."""
        self._call("Input.insertText", text=text)

    def screenshot(self, height: int | None = None) -> bytes:
        """Returns the page as PNG, from its top: the whole page, or the first `height` pixels of it."""
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], height or 1e9), "scale": 1}
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self._call("Page.printToPDF", printBackground=True)["data"])
