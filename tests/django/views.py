"""Pages that tell what reached the project."""

from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse, StreamingHttpResponse

READ = 64 * 1024
LINES = 100


def whoami(request):
    """Who Django believes the visitor to be, and every header that it was sent, as META keys."""
    headers = {key: value for key, value in request.META.items() if key.startswith("HTTP_")}
    return JsonResponse({"user": user_of(request), "remote_headers": headers})


def upload(request):
    """How many bytes the request's body had."""
    length = 0
    while part := request.read(READ):
        length += len(part)
    return JsonResponse({"user": user_of(request), "length": length})


def stream(request):
    """An answer of unknown length, line by line."""
    lines = [f"line {number}\n" for number in range(LINES)]
    content = asynchronously(lines) if isinstance(request, ASGIRequest) else iter(lines)
    return StreamingHttpResponse(content, content_type="text/plain")


async def asynchronously(items):
    for item in items:
        yield item


def user_of(request):
    return request.user.get_username() if request.user.is_authenticated else None
