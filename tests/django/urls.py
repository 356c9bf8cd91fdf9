"""The pages."""

from django.urls import path

import views

urlpatterns = [
    path("whoami/", views.whoami),
    # The same page, for routes that nobody has to log in for.
    path("public/whoami/", views.whoami),
    path("upload/", views.upload),
    path("stream/", views.stream),
]
