"""Headless Chromium, steered over the pipe of its DevTools protocol.

The pipe (https://chromium.googlesource.com/chromium/src/+/main/content/browser/devtools/) carries
JSON messages that end in a zero byte: commands on the browser's descriptor 3, answers and events
on its descriptor 4. It needs neither a driver nor a port.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """The browser's executable, by the names that distributions give it."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


#: Puts the pipes' ends where the browser looks for them, and becomes the browser.
_LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Chromium:
    """One browser with one tab; a context manager."""

    def __init__(self, executable: str) -> None:
        self.executable = executable
        self.events: list[dict[str, Any]] = []
        self._session: dict[str, str] = {}
        self._unread = b""
        self._sent = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            tab = self.call("Target.createTarget", url="about:blank")["targetId"]
            attached = self.call("Target.attachToTarget", targetId=tab, flatten=True)
            self._session = {"sessionId": attached["sessionId"]}
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        profile = stack.enter_context(tempfile.TemporaryDirectory(prefix="chromium-"))
        to_browser, self._commands = os.pipe()
        self._answers, from_browser = os.pipe()
        stack.callback(os.close, self._answers)
        ends = [_above_four(to_browser), _above_four(from_browser)]
        arguments = [self.executable, *_ARGUMENTS, f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            [sys.executable, "-ISc", _LAUNCH, *map(str, ends), *arguments],
            pass_fds=ends,
            stderr=subprocess.DEVNULL,
        )
        for end in ends:
            os.close(end)
        stack.callback(process.wait, timeout=30)
        stack.callback(os.close, self._commands)  # the browser ends when its pipe does

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; what happens meanwhile goes to ``events``."""
        self._sent += 1
        command = {"id": self._sent, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while (answer := self._read()).get("id") != self._sent:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, awaiting it if it is a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def open(self, page: Path, width: int = 1280, scheme: str = "light") -> None:
        """Load a file in a window of that width and wait until it is loaded."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        preference = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[preference])
        self.call("Page.navigate", url=page.as_uri())
        while not self.seen("Page.loadEventFired"):
            self.events.append(self._read())

    def seen(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of the events of these kinds since the page was opened."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            if not (more := os.read(self._answers, 1 << 20)):
                raise EOFError("Chromium ended")
            self._unread += more
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


def _above_four(descriptor: int) -> int:
    """Move a descriptor out of the way of those that the browser uses."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
