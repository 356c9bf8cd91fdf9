"""The pages."""

from django.urls import path

import views

urlpatterns = [
    path("whoami/", views.whoami),
    path("upload/", views.upload),
    path("stream/", views.stream),
]
