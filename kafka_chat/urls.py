"""Addresses of the Kafka chat's API."""

from django.urls import path

from kafka_chat import views

app_name = "kafka_chat"

urlpatterns = [
    path("api/chat/", views.ask, name="ask"),
    path("api/chat/history/", views.history, name="history"),
    path("api/chat/<str:message_id>/events/", views.events, name="events"),
    path("api/chat/<str:message_id>/stop/", views.stop, name="stop"),
    path("api/chat/<str:message_id>/rating/", views.rate, name="rate"),
    path("api/check-answer/", views.check_answer, name="check_answer"),
]
