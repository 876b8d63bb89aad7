"""The two ways to do what a page offers: with a mouse, or with the keyboard alone.

A story is told once and gone through by either of them. What a page changes is pressed twice by the mouse, since people
do; the keyboard uses the page's own keys where it has some, and Tab, Enter, Space and arrows where not.
"""

import base64
from abc import ABC, abstractmethod
from datetime import datetime
from typing import Final

from playwright.async_api import Locator, Page, expect

from rtcc_bridge.leads.comparison import Component
from tests.e2e.bench_kit import PARTS, keys
from tests.e2e.focus import has_focus, presses_until_focused, tabs_to

SIMILAR: Final = 2
"""Parts of the face; of all the others nothing can be seen."""
FILE_NAME: Final = "still.jpg"
MINUTE: Final = "%Y-%m-%dT%H:%M"
"""As a field of a date and a time has it."""
DROP = """([encoded, name]) => {
  const bytes = Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], name));
  document.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, cancelable: true }));
}"""


class Hand(ABC):
    """How a person works a page. key: the page's own, where it has one for that."""

    @abstractmethod
    async def opens(self, target: Locator, key: str | None = None) -> None:
        """A link, or a button that changes nothing at the daemon: once."""

    @abstractmethod
    async def does(self, target: Locator, key: str | None = None) -> None:
        """A button that has something done."""

    @abstractmethod
    async def ticks(self, box: Locator, key: str | None = None) -> None:
        """A radio button or a box."""

    @abstractmethod
    async def writes(self, field: Locator, text: str) -> None: ...

    @abstractmethod
    async def selects(self, field: Locator, words: str) -> None: ...

    @abstractmethod
    async def dates(self, field: Locator, moment: datetime) -> None: ...

    @abstractmethod
    async def gives_a_file(self, field: Locator, content: bytes) -> None: ...

    @abstractmethod
    async def chooses_face(self, page: Page, number: int) -> None: ...

    @abstractmethod
    async def excludes(self, page: Page, place: int) -> None:
        """The candidate at this place, at first sight; afterwards the next open one is in sight."""

    @abstractmethod
    async def supports(self, page: Page, place: int) -> None:
        """Fills in the whole form of the candidate at this place; afterwards the next one is in sight."""

    @abstractmethod
    async def reads_through(self, page: Page) -> None: ...


class Mouse(Hand):
    async def opens(self, target: Locator, key: str | None = None) -> None:
        await target.click()

    async def does(self, target: Locator, key: str | None = None) -> None:
        await target.dblclick()

    async def ticks(self, box: Locator, key: str | None = None) -> None:
        await box.click()

    async def writes(self, field: Locator, text: str) -> None:
        await field.click()
        await field.fill(text)

    async def selects(self, field: Locator, words: str) -> None:
        await field.select_option(words)

    async def dates(self, field: Locator, moment: datetime) -> None:
        await field.fill(moment.strftime(MINUTE))

    async def gives_a_file(self, field: Locator, content: bytes) -> None:
        await field.page.evaluate(DROP, [base64.b64encode(content).decode(), FILE_NAME])

    async def chooses_face(self, page: Page, number: int) -> None:
        await page.locator(f'[data-face="{number}"] rect').click()

    async def excludes(self, page: Page, place: int) -> None:
        await page.locator("#strip button").nth(place).click()
        await page.get_by_role("button", name="Exclude at first sight").click()

    async def supports(self, page: Page, place: int) -> None:
        await page.locator("#strip button").nth(place).click()
        await page.get_by_role("button", name="Keep and compare").click()
        parts = page.locator("#parts .part")
        for number in range(PARTS):
            wanted = "similar" if number < SIMILAR else "not_visible"
            await parts.nth(number).locator(f'label:has(input[value="{wanted}"])').click()
        await expect(page.locator("#parts-left")).to_have_text("no part left")
        await page.locator('#scale label:has(input[value="support"])').click()

    async def reads_through(self, page: Page) -> None:
        await page.get_by_role("button", name="Read through and file").click()


class Keyboard(Hand):
    """Nothing gets the focus but by a key. In the system's own dialog, which chooses a file and which a browser without
    windows does not have, no key is pressed: the field is given the file when it has the focus."""

    async def opens(self, target: Locator, key: str | None = None) -> None:
        await self._goes_to(target, key)
        await keys(target.page, "Enter")

    async def does(self, target: Locator, key: str | None = None) -> None:
        await self.opens(target, key)

    async def ticks(self, box: Locator, key: str | None = None) -> None:
        await self._goes_to(box, key)
        if not await has_focus(box):
            await presses_until_focused(box, "ArrowDown")  # which chooses, too
        await keys(box.page, "Space")
        await expect(box).to_be_checked()

    async def writes(self, field: Locator, text: str) -> None:
        await tabs_to(field)
        await field.page.keyboard.type(text)

    async def selects(self, field: Locator, words: str) -> None:
        await self.writes(field, words)

    async def dates(self, field: Locator, moment: datetime) -> None:
        await self.writes(field, moment.strftime("%m%d%Y"))
        await keys(field.page, "ArrowRight")  # a year may have more than four digits
        await field.page.keyboard.type(moment.strftime("%I%M%p"))
        await expect(field).to_have_value(moment.strftime(MINUTE))

    async def gives_a_file(self, field: Locator, content: bytes) -> None:
        await tabs_to(field)
        focused = (await field.page.evaluate_handle("document.activeElement")).as_element()
        assert focused is not None
        await focused.set_input_files({"name": FILE_NAME, "mimeType": "image/jpeg", "buffer": content})

    async def chooses_face(self, page: Page, number: int) -> None:
        await keys(page, str(number))

    async def excludes(self, page: Page, place: int) -> None:
        await _is_in_sight(page, place)
        await keys(page, "c", "x")  # kept by a slip: there is no form yet that would be lost

    async def supports(self, page: Page, place: int) -> None:
        await _is_in_sight(page, place)
        await keys(page, "c")
        await expect(page.locator(".part.current")).to_have_attribute("data-component", Component.SKIN.value)
        await keys(page, *["1"] * SIMILAR, *["3"] * (PARTS - SIMILAR))
        await expect(page.locator("#parts-left")).to_have_text("no part left")
        await expect(page.locator("#scale")).to_be_focused()
        await keys(page, "3")  # once too often: no step of the scale has a key of the parts
        await expect(page.locator("#scale input:checked")).to_have_count(0)
        await keys(page, "6")
        await expect(page.get_by_role("radio", name="Support", exact=True)).to_be_checked()
        await keys(page, "x")  # a form that was begun is not taken away by one key
        await expect(page.locator("#form")).to_be_visible()
        await keys(page, "j")

    async def reads_through(self, page: Page) -> None:
        await keys(page, "s")

    async def _goes_to(self, target: Locator, key: str | None) -> None:
        if key is None:
            await tabs_to(target)
        else:
            await expect(target).to_be_visible()
            await presses_until_focused(target, key)


async def _is_in_sight(page: Page, place: int) -> None:
    await expect(page.locator("#strip button").nth(place)).to_have_attribute("aria-current", "true")
