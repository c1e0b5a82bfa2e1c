"""Runs a program in a terminal of its own.

Arguments: columns, rows, steps as JSON, then the program with its arguments. A step waits until its text was printed
since the step before ("await"), then types ("send") or changes the size ("resize": [columns, rows]) or sends a signal
("signal": number). Prints {"code": .., "output": ..} when the program has ended; a terminal that goes silent for too
long ends with an error.
"""

import errno, fcntl, json, os, pty, select, struct, sys, termios, time

SILENCE_SECONDS = 120

columns, rows, steps, program = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:]
sized, told = os.pipe()
child, terminal = pty.fork()
if child == 0:
    # Until the terminal has its size, the program would see none.
    os.read(sized, 1)
    os.execvp(program[0], program)

def resize(columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

resize(columns, rows)
os.write(told, b"x")
output, seen, step = b"", 0, 0
deadline = time.monotonic() + SILENCE_SECONDS
while True:
    while step < len(steps):
        at = output.find(steps[step]["await"].encode(), seen)
        if at < 0:
            break
        seen = at + len(steps[step]["await"].encode())
        if "send" in steps[step]:
            os.write(terminal, steps[step]["send"].encode())
        if "resize" in steps[step]:
            resize(*steps[step]["resize"])
        if "signal" in steps[step]:
            os.kill(child, steps[step]["signal"])
        step += 1
    if time.monotonic() > deadline:
        os.kill(child, 9)
        sys.exit("no more output within %d s, after: %s" % (SILENCE_SECONDS, output.decode(errors="replace")))
    if not select.select([terminal], [], [], 1)[0]:
        continue
    try:
        data = os.read(terminal, 65536)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        data = b""
    if not data:
        break
    output += data
    deadline = time.monotonic() + SILENCE_SECONDS
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"code": code, "output": output.decode(errors="replace"), "steps": step}))
