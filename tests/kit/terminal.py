#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""terminal.py [--keys KEYS]... [--until TEXT] COMMAND... : runs COMMAND on a terminal of its own, 100 columns wide,
types each KEYS (\\t and \\n understood) when it has been silent for a moment, and prints what it shows until it ends or
shows TEXT. Ends with the exit code of the command, 0 where TEXT came, 1 where it did not come within 20 seconds."""
import fcntl, os, pty, select, struct, sys, termios, time

arguments, keys, until = sys.argv[1:], [], None
while arguments[0] in ("--keys", "--until"):
    if arguments[0] == "--keys":
        keys.append(arguments[1].replace("\\t", "\t").replace("\\n", "\n").encode())
    else:
        until = arguments[1].encode()
    arguments = arguments[2:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(arguments[0], arguments)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
shown, came, end = b"", False, time.monotonic() + 20
while time.monotonic() < end and not came:
    ready = select.select([terminal], [], [], 0.7 if keys else 0.2)[0]
    if not ready and keys:
        os.write(terminal, keys.pop(0))
    if ready:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        came = until is not None and not keys and until in shown
sys.stdout.buffer.write(shown)
sys.stdout.flush()
if until is not None:
    os.kill(child, 9)
    os.waitpid(child, 0)
    sys.exit(0 if came else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
