"""HubPredictor: a predictor with the three methods of every model on the Hub, by `huggingface_hub.ModelHubMixin`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from hfrecipes.errors import ModelError
from hfrecipes.hub import WANTED
from hfrecipes.inference.predictor import Predictor


class HubPredictor(ModelHubMixin, library_name="hfrecipes", tags=["hfrecipes"]):
    """What a run serves, or a checkpoint, as one object: `from_pretrained`, `save_pretrained` and `push_to_hub` take and give the
    whole folder, with graphs, tokenizer, label names and what its confidences are worth.

    For releases that were checked, and can be rolled back, write `publish:` into the recipe.
    """

    def __init__(self, folder: str | Path, graph: str | None = None) -> None:
        self.predictor = Predictor.open(folder, graph)

    def __call__(self, texts: Any, coverage: float | None = None) -> Any:
        """As a predictor."""
        return self.predictor(texts, coverage)

    def _save_pretrained(self, save_directory: Path) -> None:
        source = self.predictor.source
        if source is None:
            raise ModelError(
                "save_pretrained", "this predictor was made of no folder", "Open it from a run, a bundle or a checkpoint"
            )
        shutil.copytree(source, save_directory, dirs_exist_ok=True)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        graph: str | None = None,
        **_: Any,
    ) -> HubPredictor:
        folder = Path(model_id)
        if not folder.is_dir():
            fetched = snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=WANTED,
            )
            folder = Path(fetched)
        return cls(folder, graph)

    def push_to_hub(self, repo_id: str, *, private: bool | None = True, **options: Any) -> str:
        """Upload the folder in one commit; a new repository is private."""
        return str(super().push_to_hub(repo_id, private=private, **options))
