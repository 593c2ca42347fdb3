"""The ASGI application: HTTP through Django, WebSockets through Channels."""

import os
from functools import partial
from typing import Any

from channels.routing import ProtocolTypeRouter

from config.serving import handler


def _application() -> ProtocolTypeRouter:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    http = handler.application()

    # What follows needs Django to be set up.
    from channels.auth import AuthMiddlewareStack
    from channels.routing import URLRouter
    from channels.security.websocket import WebsocketDenier
    from django.conf import settings
    from django.urls import re_path

    import data_agent.routing
    import ws_chat.routing
    from config import database
    from config.languages import SocketLanguage
    from config.observability import loop_lag, tracing
    from config.observability.access_log import with_lines
    from config.origins import SameOrigin
    from config.postgresql.connections import give_up_after
    from config.serving import draining
    from config.serving.lifespan import lifespan
    from config.visitors import VisitorScope

    # Who is signed in is a question to PostgreSQL, so it is not asked for the chat, which is open to all.
    # An address that is not ours is refused with HTTP 403.
    any_address: Any = re_path
    for_users = [*data_agent.routing.websocket_urlpatterns, any_address("", WebsocketDenier.as_asgi())]
    for_all = [*ws_chat.routing.websocket_urlpatterns, any_address("", AuthMiddlewareStack(URLRouter(for_users)))]
    websocket = with_lines(SameOrigin(SocketLanguage(VisitorScope(URLRouter(for_all)))))
    draining.at_start(loop_lag.begin)
    draining.at_start(partial(give_up_after, database.PATIENCE))
    tracing.start("triptych-web", **settings.TRACES_TO)
    return ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": lifespan})


application = _application()
