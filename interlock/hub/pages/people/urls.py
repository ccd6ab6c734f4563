"""Addresses of these pages; pages/urls.py takes them in."""

from __future__ import annotations

from django.urls import URLPattern, path

from interlock.hub.pages.people import assistant, importing, matrix, member_edit, runs, trainings

urlpatterns: list[URLPattern] = [
    path("assistant/", assistant.assistant, name="assistant"),
    path("assistant/finish/", assistant.finish, name="assistant-finish"),
    path("assistant/<slug:name>/", assistant.step, name="assistant-step"),
    path("import/", importing.send, name="import"),
    path("import/<int:number>/take-back/", importing.take_back, name="import-take-back"),
    path("import/<slug:token>/", importing.look, name="import-look"),
    path("import/<slug:token>/forget/", importing.forget, name="import-forget"),
    path("members/new/", member_edit.new, name="member-new"),
    path("members/<str:public_id>/change/", member_edit.edit, name="member-edit"),
    path("members/<str:public_id>/about/", member_edit.profile, name="member-profile"),
    path("members/<str:public_id>/login/", member_edit.login, name="member-login"),
    path("roles/<int:number>/take/", member_edit.take_role, name="take-role"),
    path("trainings/", trainings.trainings_list, name="trainings"),
    path("trainings/new/", trainings.edit, name="training-new"),
    path("trainings/who/", matrix.matrix, name="training-matrix"),
    path("trainings/soon/", trainings.soon, name="trainings-soon"),
    path("trainings/held/<int:number>/", runs.run, name="training-run"),
    path("trainings/held/<int:number>/add/", runs.add, name="training-run-add"),
    path("trainings/held/<int:number>/call-off/", runs.call_off, name="training-run-call-off"),
    path("trainings/of/<slug:slug>/", trainings.training, name="training"),
    path("trainings/of/<slug:slug>/change/", trainings.edit, name="training-edit"),
    path("trainings/of/<slug:slug>/hold/", runs.hold, name="training-hold"),
]
