"""A gateway of one's own, for the scripts beside this file: started from a given binary, on loopback, stopped by pid."""

import contextlib
import os
import re
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


class Gateway:
    """A running gateway; `address` is where it hears clients."""

    def __init__(self, process, address, folder):
        self.process, self.address, self.folder = process, address, folder
        self.url = f"https://{address}"

    def resident(self):
        """KiB of memory, as the system counts it (proc(5))."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024

    def descriptors(self):
        """Open files, sockets among them."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def processor_seconds(self):
        """CPU time used until now."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def gateway(binary, config, workers=1):
    """Runs `binary` with `config` in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.toml"
        path.write_text(
            f'[listen]\nhttps = "127.0.0.1:0"\nworkers = {workers}\n[admin]\nlisten = "127.0.0.1:0"\n[log]\naccess = false\n{config}'
        )
        process = subprocess.Popen(
            [binary, "run", "--config", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"Listening on https://([0-9.]+:\d+)", line):
                    break
            else:
                sys.exit("the gateway did not start:\n" + "".join(said))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield Gateway(process, found.group(1), folder)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def backend(size):
    """An HTTP/1.1 server that answers everything with `size` bytes, and counts what it is asked."""

    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self):
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
            with contextlib.suppress(OSError):
                while self.head():
                    server.asked += 1
                    self.wfile.write(answer)

        def head(self):
            length = 0
            while line := self.rfile.readline():
                if line == b"\r\n":
                    return len(self.rfile.read(length)) == length
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            return False

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 1024
        asked = 0

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = "http://127.0.0.1:%d" % server.server_address[1]
        yield server
        server.shutdown()


def binary(usage):
    """The binary that the command line names."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(usage)
    return str(Path(sys.argv[1]).resolve())
