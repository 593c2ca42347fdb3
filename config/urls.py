"""The site's addresses."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from config import allowance, demo, model_views, operations, own_data_views, script_words, views
from config.observability import health, metrics_views
from kafka_chat import letter_views, settling
from llm import circuit_views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="about")),
    path("about/", views.about, name="about"),
    path("", include("kafka_chat.urls")),
    path("", include("ws_chat.urls")),
    path("api/budget/", allowance.remaining, name="budget"),
    path("", include("llm.timelines.urls")),
    path("data-agent/", include("data_agent.urls")),
    path("demo/<str:token>/", demo.sign_in, name="demo"),
    path("sign-out/", LogoutView.as_view(next_page="about"), name="sign-out"),
    path("admin/operations/", operations.page(operations.home), name="operations"),
    path("admin/operations/dead-letters/", operations.page(letter_views.page), name="dead-letters"),
    path("admin/operations/dead-letters/settle/", operations.page(settling.settle), name="settle-dead-letters"),
    path("admin/operations/circuits/close/", operations.page(circuit_views.close), name="close-circuit"),
    path("admin/", admin.site.urls),
    path("models/", model_views.page, name="models"),
    path("models/progress/", model_views.progress, name="models-progress"),
    path("models/fetch/", model_views.fetch, name="models-fetch"),
    path("models/cancel/", model_views.cancel, name="models-cancel"),
    path("your-data/", own_data_views.page, name="own-data"),
    path("your-data/conversations.json", own_data_views.export, name="own-data-export"),
    path("your-data/erase/", own_data_views.erase, name="own-data-erase"),
    path("language/", set_language, name="language"),
    path("script-words/<str:language>.<str:version>.js", script_words.script, name="script-words"),
    path("healthz", health.alive, name="healthz"),
    path("metrics", metrics_views.metrics, name="metrics"),
    path("readyz", health.ready, name="readyz"),
]

handler403 = "config.views.forbidden"
handler404 = "config.views.not_found"
handler500 = "config.views.server_error"
