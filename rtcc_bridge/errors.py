"""The tree of errors.

BridgeError
├── RejectedError            this input can never succeed: a record goes to the dead letters, a request gets 4xx
│   ├── InvalidInputError        the bytes or fields are wrong
│   ├── NotFoundError            it names something that does not exist
│   ├── ConflictError            it does not fit the present state
│   └── PolicyRefusalError       a rule of the policy says no (carries the rule's id)
│       └── SignInRequiredError      nobody has signed in, or not any more: 401, with where to sign in
├── TransientError           the same call may succeed later: retried with jitter and a limit
│   ├── BusyError                a bounded queue is full (carries retry_after_seconds)
│   └── UnavailableError         a dependency does not answer
├── ConfigurationError       the operator has to change something before the program can run
└── IntegrityError           going on would be unsafe: the process stops

A refused picture is not an error: it is a result (`rtcc_bridge.matching.types.Verdict`).
`rtcc_bridge.matching` has its own small tree (`rtcc_bridge.matching.errors`), since it imports no sibling.
"""

from dataclasses import dataclass


class BridgeError(Exception):
    """Base of every error that this program raises on purpose. The message says what to do."""


class RejectedError(BridgeError):
    """This input can never succeed as it is."""

    reason = "rejected"
    """A short fixed word for metrics and dead letters."""


class InvalidInputError(RejectedError):
    """The bytes or the fields are wrong."""

    def __init__(self, message: str, reason: str = "invalid") -> None:
        super().__init__(message)
        self.reason = reason


class NotFoundError(RejectedError):
    """The input names something that does not exist."""

    reason = "not_found"


class ConflictError(RejectedError):
    """The request does not fit the present state."""

    reason = "conflict"


class PolicyRefusalError(RejectedError):
    """A rule of the policy says no."""

    reason = "policy"

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


class SignInRequiredError(PolicyRefusalError):
    """Nobody has signed in, or not any more (P10, P29)."""


class TransientError(BridgeError):
    """The same call may succeed later."""


class BusyError(TransientError):
    """A bounded queue is full."""

    def __init__(self, message: str, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnavailableError(TransientError):
    """A dependency (broker, database, object store, worker) does not answer."""


class ObjectUnavailableError(UnavailableError):
    """One sealed object cannot be read, though the store answers: a bad sector, a right that is missing."""


@dataclass(frozen=True, slots=True)
class ConfigurationProblem:
    """One thing wrong in the settings: where, what, and what to do about it."""

    path: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.cause}. {self.remedy}"


class ConfigurationError(BridgeError):
    """The operator has to change something before the program can run."""

    def __init__(self, *problems: ConfigurationProblem) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class IntegrityError(BridgeError):
    """Going on would be unsafe: the process stops."""
