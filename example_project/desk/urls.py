"""The URLs of the desk."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from example_project.desk import views

urlpatterns = [
    path("", views.home, name="home"),
    path("conversations/", views.start, name="start"),
    path("conversations/<path:thread_id>/rename/", views.rename, name="rename"),
    path("conversations/<path:thread_id>/delete/", views.delete, name="delete"),
    path("conversations/<path:thread_id>/", views.ConversationView.as_view(), name="conversation"),
    path("sources/<str:entity>/<path:external_id>/", views.source, name="source"),
    path("forget/", views.forget, name="forget"),
    path(
        "login/",
        LoginView.as_view(template_name="desk/login.html", extra_context={"demo": settings.DEBUG}),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
]
