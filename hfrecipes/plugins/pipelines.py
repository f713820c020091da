"""Pipelines: one line for a task, also for those that transformers 5 lost (transformers#43256, #43325).

`pipeline("summarization", "runs/tldr")` opens what hfrecipes wrote, a run, a checkpoint or a bundle. After `register()`,
`transformers.pipeline` knows the lost names again, for any model with the right Auto class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hfrecipes.errors import UserError
from hfrecipes.inference.predictor import Predictor
from hfrecipes.part import names
from hfrecipes.value import hint

LOST = {
    "question-answering": "answer",
    "summarization": "summary_text",
    "translation": "translation_text",
    "text2text-generation": "generated_text",
}
"""The pipelines that transformers 5 removed, and what each called its answer."""


def pipeline(task: str, path: str | Path, graph: str | None = None, **generation: Any) -> Predictor:
    """A predictor for `task` from a run, a checkpoint or a bundle: `pipeline("summarization", "runs/tldr")(texts)`.

    `path` is a folder, or `owner/name` on the Hub. Raises UserError where the folder was made for another task.
    """
    if task not in names("tasks"):
        raise UserError("pipeline", f"unknown task '{task}'", hint(task, names("tasks")))
    predictor = Predictor.open(path, graph, **generation)
    if predictor.task.name != task:
        made = predictor.task.name
        raise UserError("pipeline", f"{path} was made for {made}, not {task}", f"Write pipeline('{made}', …)")
    return predictor


def register() -> list[str]:
    """Register the lost names in transformers' `PIPELINE_REGISTRY`; gives those that were registered."""
    from transformers import AutoModelForQuestionAnswering, AutoModelForSeq2SeqLM
    from transformers.pipelines import PIPELINE_REGISTRY, REMOVED_TASKS

    from hfrecipes.plugins.lost_pipeline import LostPipeline

    added = [task for task in LOST if task not in PIPELINE_REGISTRY.supported_tasks]
    for task in added:
        auto = AutoModelForQuestionAnswering if task == "question-answering" else AutoModelForSeq2SeqLM
        REMOVED_TASKS.pop(task, None)  # `transformers.pipeline` refuses the names in it before it looks into its registry
        PIPELINE_REGISTRY.register_pipeline(task, pipeline_class=LostPipeline, pt_model=auto)
    return added
