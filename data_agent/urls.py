"""Pages of the data agent."""

from django.urls import path

from data_agent import views

app_name = "data_agent"
urlpatterns = [
    path("", views.workspace, name="workspace"),
    path("<uuid:session_id>/", views.workspace, name="session"),
]
