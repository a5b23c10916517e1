"""What answers requests to a teacher: an endpoint over HTTP, a program, a file of this machine, or
what a person has pasted."""

from recipes.settings import TeacherSettings
from recipes.teachers.client import Client, Sender
from recipes.teachers.endpoint import Endpoint
from recipes.teachers.local_gguf import GgufClient
from recipes.teachers.pasted import FolderClient
from recipes.teachers.programs import CommandClient


def sender_of(endpoint: Endpoint, key: str, settings: TeacherSettings) -> Sender:
    """To be closed."""
    if endpoint.is_command:
        return CommandClient(endpoint, settings.command_seconds)
    if endpoint.is_folder:
        return FolderClient(endpoint)
    if endpoint.is_gguf:
        turns = settings.repairs + 1
        return GgufClient(endpoint, settings.max_prompt + turns * endpoint.max_output)
    return Client(endpoint, key, settings.stall)
