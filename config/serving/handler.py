"""Django's handler of HTTP requests, for requests that need no thread.

Django's own announces the beginning of each request in a thread, for connections to the database that were left by an
earlier one, and closes each response in a thread, where the connections of this one are. But the thread of a request is
its own: at the beginning there is nothing in it, and at the end only if the request has used it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import django
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_finished
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from config.observability import access_log, metrics


class Handler(ASGIHandler):
    """Serves a request, with a thread only where one of its parts asks for it.

    The signal `request_started` is not sent; `request_finished` is, in the request's thread where it has had one.
    """

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one request."""
        finish: Callable[[], object] = partial(request_finished.send, sender=type(self))
        async with ThreadSensitiveContext():
            try:
                with access_log.line(scope) as line:
                    response = await self._serve(scope, receive, send, line)
                if response is not None:
                    finish = response.close
            finally:
                if SyncToAsync.thread_sensitive_context.get() in SyncToAsync.context_to_thread_executor:
                    await sync_to_async(finish)()
                else:
                    finish()

    async def _serve(
        self, scope: dict[str, Any], receive: Any, send: Any, line: access_log.Line
    ) -> HttpResponseBase | None:
        """Return the response that was sent, None where the client had left before there was one."""
        began = time.perf_counter()
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return None
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            request, response = self.create_request(scope, body)
            leaving = _Leaving(receive)
            try:
                if request is not None:
                    response = await self.run_get_response(request)
                if response is not None:
                    metrics.note_request(request, response, began)
                    line.answered(response)
                    await self.send_response(response, send)
            except asyncio.CancelledError:
                if not leaving.seen:
                    raise
            finally:
                leaving.end()
        return response


class _Leaving:
    """Cancels the task that makes it when the client leaves: a view shall not wait for nobody."""

    def __init__(self, receive: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watching = asyncio.create_task(self._watch(receive))
        self.seen = False

    def end(self) -> None:
        """Watch no longer."""
        self._watching.cancel()
        if self.seen:
            self._task.uncancel()

    async def _watch(self, receive: Any) -> None:
        # After the request nothing else comes: https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event
        await receive()
        self.seen = True
        self._task.cancel()


def application() -> Handler:
    """Return the handler, with Django set up."""
    django.setup(set_prefix=False)
    return Handler()
