"""Python's own witness inside ComfyUI: writes down what code of the pack opens, starts, connects to or executes. See ../audit.py."""

import json
import os
import sys

FILES = ("open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "shutil.")
CODE = ("exec", "compile", "marshal.loads", "pickle.find_class", "ctypes.dlopen", "import")
REACHES = (
    "socket.connect",
    "socket.bind",
    "socket.getaddrinfo",
    "socket.sendto",
    "urllib.Request",
    "http.client.connect",
    "ftplib.",
    "smtplib.",
)
STARTS = ("subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.startfile", "pty.", "webbrowser.")
TO_ANOTHER = ("shutil.copy", "shutil.move", "os.rename", "os.link", "os.symlink")  # whose second path is the one that is made
WATCHED = FILES + CODE + REACHES + STARTS
PACK = os.environ.get("MICROMOTION_AUDITED", "\0")
LOG = os.open(os.environ["MICROMOTION_AUDIT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT) if "MICROMOTION_AUDIT" in os.environ else None


def caller():
    """The innermost line of the pack on the stack, and whether modules are being loaded; None where the pack has no part in it."""
    frame, found, loading = sys._getframe(), None, False
    while frame is not None:
        name = frame.f_code.co_filename
        loading = loading or name.startswith("<frozen importlib")
        if found is None and name.startswith(PACK):
            found = f"{name[len(PACK) :]}:{frame.f_lineno}"
        frame = frame.f_back
    return (found, loading) if found else None


def hook(event, args):
    if LOG is not None and event.startswith(WATCHED) and (where := caller()):
        mode = args[1] if event == "open" and isinstance(args[1], str) else args[2] if event == "open" else ""
        touched = (
            args[1] if event.startswith(("shutil.copy", "shutil.move", "os.rename", "os.link", "os.symlink")) else args[0] if args else ""
        )
        shown = [event, str(touched)[:300], str(mode), *where]
        os.write(LOG, (json.dumps(shown) + "\n").encode())


if LOG is not None:
    sys.addaudithook(hook)
