"""StableHLO and CHLO for special functions."""

from __future__ import annotations

from lowering.emit import RULES
from lowering.rules.elementwise import row

RULES.update(
    {
        ours: row(theirs)
        for ours, theirs in {
            "erf": "chlo.erf",
            "erfc": "chlo.erfc",
            "erfinv": "chlo.erf_inv",
            "lgamma": "chlo.lgamma",
            "digamma": "chlo.digamma",
            "polygamma": "chlo.polygamma",
        }.items()
    }
)
