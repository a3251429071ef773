"""What goes wrong because of a setting, said so that the reader can put it right."""


class DetectorError(Exception):
    """A detector cannot be built as asked; the message is one line for the operator."""
