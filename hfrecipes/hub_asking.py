"""Asking the Hub about a repository: again while it does not answer, and what it refuses in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import TypeVar

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils._validators import validate_repo_id

from hfrecipes.errors import ModelError
from hfrecipes.hub import NAME
from hfrecipes.hub_calls import Moved, NoAnswer, Patience, one_try

STATUS = re.compile(r"\((\d{3}) ")
"""The status in what the Xet client says."""
Answer = TypeVar("Answer")


class Asking:
    """Calls about the repository of a name, by whoever the access token of this machine speaks for.

    Every method raises ModelError, in one line, where the Hub refuses, or does not answer within the patience.
    """

    def __init__(self, name: str, endpoint: str | None, patience: Patience) -> None:
        self.name, self.patience = name, patience
        self.token = get_token()
        self.api = HfApi(endpoint=endpoint, token=self.token or False, library_name="hfrecipes")
        try:
            validate_repo_id(name)
        except HFValidationError as error:
            raise ModelError(name, f"is not the name of a repository: {error}", "Write owner/name") from None
        if not NAME.fullmatch(name):
            raise ModelError(name, "is not the name of a repository", "Write owner/name")

    def talking(self) -> AbstractContextManager[None]:
        """A block in which the methods may be called."""
        return one_try(self.patience.answer)

    def ask(self, call: Callable[[], Answer]) -> Answer:
        """What a call returns, tried again while there is no answer: one that may be made twice."""
        while True:
            try:
                return self.once(call)
            except Moved:
                raise self.refusal(HTTPStatus.CONFLICT) from None
            except NoAnswer as error:
                self.wait(error)

    def make(self, call: Callable[[], object]) -> None:
        """Make something, where it is not there yet."""
        while True:
            try:
                self.once(call)
                return
            except Moved:
                return
            except NoAnswer as error:
                self.wait(error)

    def once(self, call: Callable[[], Answer]) -> Answer:
        """What a call returns. Raises NoAnswer where there is none."""
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response.status_code in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
                raise Moved(f"status {error.response.status_code}") from None
            raise self.refusal(error.response.status_code) from None
        except OfflineModeIsEnabled:
            raise ModelError(self.name, "cannot be reached: HF_HUB_OFFLINE is set", "Unset it") from None
        except ValueError as error:
            raise ModelError(self.name, f"the Hub refused: {self._said(error)}", "Change it, and try again") from None
        except (OSError, RuntimeError) as error:  # of the upload: of Xet, and of LFS with the cause
            cause = error.__cause__
            if isinstance(cause, NoAnswer):
                raise cause from None
            found = STATUS.search(str(error))
            status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else int(found[1]) if found else 0
            if status in range(400, 429):
                raise self.refusal(status) from None
            raise self.unanswered(self._said(error), "Try again later") from None

    def wait(self, error: NoAnswer) -> None:
        """Wait before the next try. Raises ModelError once patience is at its end."""
        try:
            self.patience.pause(error)
        except NoAnswer:
            raise self.unanswered(str(error), "Try again later") from None

    def unanswered(self, why: str, instead: str) -> ModelError:
        """The error for a Hub that does not answer."""
        return ModelError(self.name, f"the Hub gave no answer ({why})", instead)

    def _said(self, error: Exception) -> str:
        words = " ".join(str(error).split())
        return words.replace(self.token, "…") if self.token else words

    def refusal(self, status: int) -> ModelError:
        """The error for a call that the Hub refused."""
        if self.token is None:
            return ModelError(self.name, "is not there, or only for those who log in", "Log in with `hf auth login`")
        if status == 401:
            return ModelError(self.name, "the Hub does not accept the access token", "Log in again with `hf auth login`")
        if status == 404:
            return ModelError(self.name, "is not there, or not for this access token", "Write another name, or use another token")
        if status != 403:
            return ModelError(self.name, f"the Hub refused, with status {status}", "Try again later")
        me, role = self._whoami()
        if role == "read":
            return ModelError(self.name, "the access token may only read", "Make one that may write at hf.co/settings/tokens")
        owner, _, name = self.name.partition("/")
        if me is not None and me != owner:
            return ModelError(
                self.name, f"belongs to {owner}, and the access token to {me}", f"Write {me}/{name}, or open a pull request"
            )
        return ModelError(self.name, "the access token may not write to it", "Make one that may at hf.co/settings/tokens")

    def _whoami(self) -> tuple[str | None, str | None]:
        """The name and the role of the token, as far as the Hub says."""
        try:
            said = self.api.whoami()
            return said["name"], said["auth"]["accessToken"]["role"]
        except (HfHubHTTPError, LocalTokenNotFoundError, NoAnswer, KeyError):
            return None, None
