"""Who lives in the cloud. A name says it all: its project, its role, and by `password_of` its password."""

PROJECTS = ("red", "blue")
ROLES = ("admin", "member", "reader")  # Keystone's own: each implies those after it
SERVICE_PROJECT = "service"
SERVICES = ("glance", "nova")  # with the role `service`; nova is who sends X-Service-Token
PASSWORDS = "open-sesame-"


def password_of(user):
    return PASSWORDS + user


def project_of(user):
    return SERVICE_PROJECT if user in SERVICES else user.split("-")[0]


def everyone():
    """(user, project, role) of all that are to be made."""
    for project in PROJECTS:
        for role in ROLES:
            yield f"{project}-{role}", project, role
    for user in SERVICES:
        yield user, SERVICE_PROJECT, "service"
