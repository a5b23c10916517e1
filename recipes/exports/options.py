"""What a person says of an export on the command line."""

from dataclasses import dataclass
from pathlib import Path

from recipes.exports.folder import BEGIN_WITH_STUDENT, MODEL_TARGETS


@dataclass(frozen=True)
class ExportOptions:
    """What is to be taken out of a run."""

    target: str
    """One of `folder.TARGETS`."""
    checkpoint: str
    """Whose model; nothing to a target that holds the tasks alone."""
    out: Path | None
    """The folder to write; RUN/export/TARGET-CHECKPOINT where None."""
    quantisation: str
    """Of GGUF files."""
    count: int
    """Tasks that are solved again through an exported model, at most."""

    @property
    def takes_model(self) -> bool:
        return self.target in MODEL_TARGETS

    @property
    def takes_checkpoint(self) -> bool:
        return self.takes_model or self.target in BEGIN_WITH_STUDENT
