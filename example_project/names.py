"""Names of resources for the admin: a resource of the desk is a user."""

from __future__ import annotations

from django.contrib.auth import get_user_model


def names_of_users(resource_ids: list[str]) -> dict[str, str]:
    """Return the names of the users with these ids."""
    keys = [resource_id for resource_id in resource_ids if resource_id.isdecimal()]
    users = get_user_model().objects.in_bulk(keys)
    return {str(key): user.get_full_name() or user.get_username() for key, user in users.items()}
