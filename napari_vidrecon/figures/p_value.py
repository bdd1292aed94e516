"""How a p value is written in a figure."""

from __future__ import annotations

import math

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SMALLEST_PLAIN = 0.001


def p_text(p: float) -> str:
    """ "p = 0.023", or "p = 4 × 10⁻⁸" for small ones; "p not defined" for NaN.

    Parameters
    ----------
    p : 0..1.
    """
    if math.isnan(p):
        return "p not defined"
    if p >= SMALLEST_PLAIN or p == 0:
        return f"p = {p:.2g}"
    digits, exponent = f"{p:.0e}".split("e")
    return f"p = {digits} × 10{str(int(exponent)).translate(RAISED)}"
