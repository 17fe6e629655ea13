class DemoError(Exception):
    """Something is missing or taken; the message is the one line that the user sees."""


class Stopped(Exception):
    """A signal asked the demo to stop."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
