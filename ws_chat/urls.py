"""Addresses under which runs are read without a WebSocket."""

from django.urls import path

from ws_chat import views

app_name = "ws_chat"

urlpatterns = [
    path("api/ws-chat/history/", views.history, name="history"),
    path("api/ws-chat/<uuid:run>/events/", views.events, name="events"),
    path("api/ws-chat/<uuid:run>/frames/", views.frames, name="frames"),
]
