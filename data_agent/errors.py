"""What can go wrong with a step, in one tree.

    DataAgentError
    ├── NotAllowed     the person may not use the data agent
    ├── NotFound       no such session or step, or somebody else's
    ├── NotDecidable   the step is not waiting for this decision: decided already, expired, its text changed
    ├── Unavailable    the analytics database cannot be reached or is not set up
    └── QueryFailed    PostgreSQL refused or ended the query

Each has a `code` for programs and a sentence, its message, for people: in English for models and rows, and translated
when it is shown (`config.translating`).
"""

from typing import ClassVar


class DataAgentError(Exception):
    """Something a person should be told; the message is the sentence."""

    code: ClassVar[str] = "failed"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        # As a text of its own it would not know any more how it was made.
        self.sentence = sentence


class NotAllowed(DataAgentError):
    """The person may not use the data agent."""

    code = "not_allowed"


class NotFound(DataAgentError):
    """There is no such session or step for this person."""

    code = "not_found"


class NotDecidable(DataAgentError):
    """The step does not wait for this decision."""

    code = "not_decidable"


class Unavailable(DataAgentError):
    """The analytics database cannot be reached or is not set up."""

    code = "unavailable"


class QueryFailed(DataAgentError):
    """PostgreSQL refused the query or ended it."""

    code = "query_failed"
