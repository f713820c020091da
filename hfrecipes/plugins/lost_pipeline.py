"""LostPipeline: the pipelines that transformers 5 removed, over our tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from transformers import Pipeline

from hfrecipes.folder import read_json
from hfrecipes.inference.engines import torch_engine
from hfrecipes.inference.generation import Writer
from hfrecipes.inference.predictor import Predictor
from hfrecipes.part import named_by_a_model
from hfrecipes.plugins.pipelines import LOST
from hfrecipes.tasks import Task
from hfrecipes.tokens import Tokens, positions


class LostPipeline(Pipeline):
    """A pipeline as transformers 4 had it: called with texts (or `question=…, context=…`), answers as dictionaries.

    The task is that of the checkpoint's `task.json` where hfrecipes wrote one; elsewhere its defaults, with the prefix that
    the model's configuration names for it.
    """

    def __call__(  # type: ignore[override]
        self, inputs: Any = None, *, question: Any = None, context: Any = None, **generation: Any
    ) -> Any:
        """A list of dictionaries; for one question the dictionary alone."""
        if question is not None:
            inputs = {"question": question, "context": context}
        single = isinstance(inputs, (str, Mapping))
        found = self._predictor(generation)([inputs] if single else list(inputs))
        answers = [self.postprocess(answer) for answer in found]
        return answers[0] if single and self.task == "question-answering" else answers

    def postprocess(self, model_outputs: Any, **_: Any) -> dict[str, Any]:
        """An answer under the names that transformers 4 gave it."""
        values = dataclasses.asdict(model_outputs)
        return {LOST[str(self.task)]: values.pop("text"), **values}

    def _predictor(self, generation: Mapping[str, Any]) -> Predictor:
        folder = Path(self.model.config._name_or_path)
        task = self._task(folder)
        config = self.model.config.to_dict()
        tokens = Tokens.of(cast(Any, self.tokenizer), task.max_length, positions(config))
        engine = scorer = torch_engine(self.model)
        if task.generates:
            engine = Writer(self.model, folder, {**task.writing(), **generation})
        return Predictor(task, config, tokens, engine, scorer)

    def _task(self, folder: Path) -> Task:
        if (folder / "task.json").is_file():
            with named_by_a_model():
                task: Task = Task.choose(read_json(folder / "task.json")["task"])
            return task
        named = (self.model.config.to_dict().get("task_specific_params") or {}).get(self.task, {})
        options = {"template": f"{named['prefix']}{{source}}"} if "prefix" in named else {}
        made: Task = Task.choose({str(self.task): options})
        return made

    def _sanitize_parameters(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, {}

    def preprocess(self, input_: Any, **_: Any) -> Any:
        """Not used: the predictor reads texts."""
        return input_

    def _forward(self, input_tensors: Any, **_: Any) -> Any:
        return input_tensors
