"""Commands within the running text of a page: the module exists, and the settings of a training compose."""

import importlib.util
import re

import pytest
from pages import PAGES, Command

from paa.config.compose import Composer, resolved

_INLINE = re.compile(r"(?<!`)`((?:python -m paa\.|torchrun )[^`]+)`(?!`)")

INLINE = [
    Command(page.name, " ".join(found.split()))
    for page in PAGES
    for found in _INLINE.findall(re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M))
]


def test_pages_have_inline_commands():
    assert len(INLINE) > 5


@pytest.mark.parametrize("command", INLINE, ids=str)
def test_inline_command_is_valid(command):
    module, *arguments = command.words[command.words.index("-m") + 1 :]
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if module == "paa.train":
        compose = Composer()
        jobs = compose.jobs([word for word in arguments if "=" in word], "-m" in arguments)
        resolved(compose.compose(jobs[0]))
