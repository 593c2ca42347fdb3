"""Addresses of timelines, and of the page that compares them."""

from django.urls import path

from llm.timelines import pages, views

app_name = "timelines"

urlpatterns = [
    path("compare/", pages.compare, name="compare"),
    path("compare/statistics.csv", pages.as_csv, name="csv"),
    path("compare/statistics.json", pages.as_json, name="json"),
    path("api/timelines/", views.timelines, name="timelines"),
    path("api/timelines/drawing/", views.drawn, name="drawing"),
]
