"""What each of the finders that are built in finds in one text, also where it is written in disguise."""

from detectors.privacy.credentials import credentials
from detectors.privacy.findings import Finding
from detectors.privacy.personal_data import personal_data
from detectors.privacy.views import found_in, views


def find_personal_data(text: str) -> list[Finding]:
    return found_in(personal_data, views(text))


def find_credentials(text: str) -> list[Finding]:
    return found_in(credentials, views(text))
