"""Serves the legacy project on the loopback interface, until it is killed.

    serve.py wsgi --data FOLDER [--port PORT] [--header NAME]      gunicorn, with `--header-map dangerous`
    serve.py asgi --data FOLDER [--port PORT] [--header NAME]      uvicorn
    serve.py wsgi --data FOLDER --socket PATH [--header NAME]      either, on a unix socket

FOLDER must exist and gets the database. Without a port the system picks one. Once it listens, its address is
printed on a line of its own, `http://127.0.0.1:PORT` or `unix:PATH`; the server answers a moment later. The process
that was started is the server itself, so killing it is enough.

NAME is the `header` attribute of the project's RemoteUserMiddleware. The default reads `X-Remote-User`. Worth
trying under ASGI: `REMOTE_USER`, what the stock middleware has, obeys a client's `Remote-User`; `HTTP_X_REMOTE_USER`,
right under WSGI, is blind to `X-Remote-User` and obeys `HTTP-X-Remote-User`.
"""

import argparse
import os
import socket
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HONEST_HEADER = {"wsgi": "HTTP_X_REMOTE_USER", "asgi": "X_REMOTE_USER"}


def main():
    arguments = parse()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    os.environ["LEGACY_DATA"] = str(arguments.data.resolve(strict=True))
    os.environ["LEGACY_USER_HEADER"] = arguments.header or HONEST_HEADER[arguments.interface]
    os.chdir(HERE)

    migrate()
    listener = listen(arguments)
    name = listener.getsockname()
    print(f"unix:{name}" if arguments.socket else f"http://127.0.0.1:{name[1]}", flush=True)
    {"wsgi": serve_wsgi, "asgi": serve_asgi}[arguments.interface](listener)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("interface", choices=sorted(HONEST_HEADER))
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--socket", type=Path, metavar="PATH")
    parser.add_argument("--header", metavar="NAME")
    return parser.parse_args()


def migrate():
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)


def listen(arguments):
    if arguments.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(arguments.socket))
        listener.listen(128)
    else:
        listener = socket.create_server(("127.0.0.1", arguments.port), backlog=128)
    listener.set_inheritable(True)
    return listener


def serve_wsgi(listener):
    # Threads, because the plain worker closes every connection after one answer and notices late that its
    # master was killed.
    command = [sys.executable, "-m", "gunicorn", "wsgi:application"]
    command += ["--bind", f"fd://{listener.fileno()}", "--worker-class", "gthread", "--threads", "8"]
    command += ["--header-map", "dangerous", "--log-level", "warning"]
    os.execv(sys.executable, command)


def serve_asgi(listener):
    import uvicorn

    server = uvicorn.Server(uvicorn.Config("asgi:application", log_level="warning", lifespan="off"))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
