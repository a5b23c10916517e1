"""What answers requests to a teacher: an endpoint over HTTP, a program, or what a person has pasted."""

from recipes.settings import TeacherSettings
from recipes.teachers.client import Client, Sender
from recipes.teachers.endpoint import Endpoint
from recipes.teachers.pasted import FolderClient
from recipes.teachers.programs import CommandClient


def sender_of(endpoint: Endpoint, key: str, settings: TeacherSettings) -> Sender:
    """To be closed."""
    if endpoint.is_command:
        return CommandClient(endpoint, settings.command_seconds)
    if endpoint.is_folder:
        return FolderClient(endpoint)
    return Client(endpoint, key, settings.stall)
