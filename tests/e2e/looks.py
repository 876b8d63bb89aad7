"""Whether what one presses, fills in or follows has the program's own looks, and not the browser's.

A control without a style is too small for the comparison of pictures to notice. Each is compared with one of its kind
in a shadow tree, which the page's styles do not reach.
"""

from playwright.async_api import Page

_BARE = """() => {
  const host = document.body.appendChild(document.createElement("div"));
  const plain = host.attachShadow({ mode: "open" });
  const looks = (one) => {
    const style = getComputedStyle(one);
    return [style.borderTop, style.backgroundColor, style.borderTopLeftRadius].join();
  };
  const unstyled = (one) => {
    const made = document.createElement(one.localName);
    for (const name of ["type", "href", "disabled", "readonly", "multiple"]) {
      if (one.hasAttribute(name)) made.setAttribute(name, one.getAttribute(name));
    }
    plain.replaceChildren(made);
    return made;
  };
  const isBare = (one) => {
    const style = getComputedStyle(one);
    if (one.localName === "a") return style.color === getComputedStyle(unstyled(one)).color;
    if (["checkbox", "radio", "range"].includes(one.type)) return style.accentColor === "auto";
    const isOfPage = style.fontFamily === getComputedStyle(one.parentElement).fontFamily;
    if (one.type === "file") return !isOfPage;
    return !isOfPage || looks(one) === looks(unstyled(one));
  };
  const controls = "a[href], button, select, textarea, input:not([type=hidden])";
  const found = [...document.querySelectorAll(controls)].filter((one) => one.checkVisibility() && isBare(one));
  host.remove();
  return found.map((one) => one.outerHTML.slice(0, 120));
}"""


async def bare_controls(page: Page) -> list[str]:
    """The beginning of each that is to be seen and looks as the browser makes it."""
    return [str(one) for one in await page.evaluate(_BARE)]
