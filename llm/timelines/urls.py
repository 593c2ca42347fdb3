"""Addresses of timelines."""

from django.urls import path

from llm.timelines import views

app_name = "timelines"

urlpatterns = [
    path("api/timelines/", views.timelines, name="timelines"),
    path("api/timelines/drawing/", views.drawn, name="drawing"),
]
