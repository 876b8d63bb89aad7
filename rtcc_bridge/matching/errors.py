"""The errors of the face work.

MatchingError
├── UnreadableImageError     the bytes are not a picture that is accepted (carries a reason word)
├── ModelPackError           a model pack is missing, altered or does not fit
├── DeviceError              the accelerator that was asked for cannot be used, or what runs on it gives no answer
├── TemplateError            a template has the wrong length, is not normalised or not finite
├── QueueFullError           the batcher's bounded queue is full: try again later
├── BatcherClosedError       the batcher takes nothing more, or closed before the item's turn
└── InferenceError           the model failed; whoever waits in a batcher gets it when it failed on this item alone, too
"""


class MatchingError(Exception):
    """Base of the errors of the face work."""


class UnreadableImageError(MatchingError):
    """The bytes are not a picture that is accepted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelPackError(MatchingError):
    """A model pack is missing, altered or does not fit."""


class DeviceError(MatchingError):
    """The accelerator that was asked for cannot be used, or what runs on it gives no answer."""


class TemplateError(MatchingError):
    """A template has the wrong length, is not normalised or not finite."""


class QueueFullError(MatchingError):
    """The batcher's bounded queue is full."""


class BatcherClosedError(MatchingError):
    """The batcher takes nothing more, or closed before the item's turn."""


class InferenceError(MatchingError):
    """The model failed on a batch."""
