"""Pages and files of the data agent."""

from django.urls import path, re_path

from data_agent import audit_views, result_views, views

app_name = "data_agent"
urlpatterns = [
    path("", views.workspace, name="workspace"),
    path("<uuid:session_id>/", views.workspace, name="session"),
    path("sessions/", views.sessions, name="sessions"),
    path("tables/<str:table>/", views.sample, name="sample"),
    path("steps/<uuid:step_id>/", result_views.step, name="step"),
    path("steps/<uuid:step_id>/rows/", result_views.rows, name="rows"),
    path("steps/<uuid:step_id>/chart.svg", result_views.chart, name="chart"),
    re_path(r"^steps/(?P<step_id>[0-9a-f-]{36})/result\.(?P<kind>csv|json)$", result_views.result, name="result"),
    path("audit/", audit_views.page, name="audit"),
    path("audit/export/<str:kind>/", audit_views.export, name="audit-export"),
]
