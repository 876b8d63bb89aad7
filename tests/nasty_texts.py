"""Texts that try to become something else in a page, an address, a log or an event stream."""

from typing import Final

NASTY_TEXTS: Final = (
    "<script>window.struck = 1</script>",
    "<img src=x onerror='window.struck = 1'>",
    '"><svg onload=window.struck=1>',
    "' onmouseover='window.struck = 1' x='",
    "javascript:window.struck=1//",
    "</title></textarea></style><script>window.struck=1</script>",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "data: one\n\nevent: forged\ndata: two\r\nid: 9",
    "\u202egnp.exe \u2066 \u0645\u0631\u062d\u0628\u0627 \U0001f6a8 e\u0301\u0323",
    "%2e%2e%2f..\\..//&lt;b&gt;&#x3c;",
)
