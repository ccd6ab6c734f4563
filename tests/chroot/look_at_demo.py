"""Runs the demo as a newcomer would: starts it, opens every address it prints, ends it with Ctrl-C.

Runs in the bare container under Debian's own Python, before anything is installed, so it uses the
standard library only. Exit code 0: every page answered and no process was left behind.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

ADDRESS = re.compile(r"http://[^\s\x1b\"'<>)]+")
INSTALLING_S_MAX = 600


def main(ready_s: float, gone_s: float) -> int:
    """Return 0 when the demo came up, answered, and left nothing behind."""
    demo = subprocess.Popen(
        ["./install.sh", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    found: list[str] = []
    printed_one = threading.Event()
    reading = threading.Thread(target=read, args=(demo, found, printed_one), daemon=True)
    reading.start()
    if not printed_one.wait(INSTALLING_S_MAX):
        return complain(demo, "the demo printed no address")
    pause = threading.Event()
    pause.wait(2)  # the addresses are printed one below the other
    bad = [answer for answer in (visit(address, ready_s, pause) for address in found) if answer]
    demo.send_signal(signal.SIGINT)
    try:
        code = demo.wait(gone_s)
    except subprocess.TimeoutExpired:
        return complain(demo, f"the demo still runs {gone_s} s after Ctrl-C")
    pause.wait(1)
    left = processes_of_interlock()
    print(f"the demo ended with exit code {code}; left behind: {left or 'nothing'}")
    print("\n".join(bad))
    return 1 if bad or left else 0


def read(demo: "subprocess.Popen[str]", found: list[str], printed_one: threading.Event) -> None:
    """Pass on what the demo prints, and collect the addresses in it."""
    assert demo.stdout is not None
    for line in demo.stdout:
        print(f"    | {line}", end="", flush=True)
        found.extend(ADDRESS.findall(line))
        if found:
            printed_one.set()


def visit(address: str, ready_s: float, pause: threading.Event) -> str:
    """Return why `address` does not answer with a page, or nothing."""
    problem = ""
    for _ in range(int(ready_s)):
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                print(f"{address}: {answer.status}, {len(answer.read()):,} bytes", flush=True)
                return ""
        except (OSError, urllib.error.URLError) as error:
            problem = f"{address}: {error}"
        pause.wait(1)
    return problem


def processes_of_interlock() -> list[str]:
    """The command lines of what still runs from the checkout's environment."""
    lines = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if int(pid) != os.getpid() and (".venv/bin" in line or "interlock.sim" in line):
            lines.append(f"{pid} {line}")
    return lines


def complain(demo: "subprocess.Popen[str]", why: str) -> int:
    """Say why, end the demo, return 1."""
    print(f"NOT PROVED: {why}", flush=True)
    demo.kill()
    return 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), float(sys.argv[2])))
