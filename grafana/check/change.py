"""Whether a graph changes when something breaks, as a person sees who opens it from a message."""

BEFORE = 30  # Seconds of health that what follows is compared with.
SHARE = 1 / 3  # What differs by less may be the traffic.
GONE = 4  # Steps without a sample after which a line has ended.


def shows(series, since, end, step):
    """Whether one of the series, lists of (seconds, value), begins after `since`, ends, or leaves what it was."""
    return any(_changes(samples, since, end, step) for samples in series)


def _changes(samples, since, end, step):
    samples = [(at, float(value)) for at, value in samples if value != "NaN"]
    before = [value for at, value in samples if since - BEFORE <= at < since]
    after = [value for at, value in samples if at >= since]
    if not before:
        return bool(after)
    if end - samples[-1][0] > GONE * step:
        return True
    low, high = min(before), max(before)
    return any(value < low - SHARE * max(abs(low), abs(value)) or value > high + SHARE * max(abs(high), abs(value)) for value in after)


STEADY = [(at, "1") for at in range(0, 60, 5)]
# What is drawn from 0 to 60 s with a fault at 40, and whether it shows.
CASES = (
    ("a steady line", [STEADY], False),
    ("nothing", [], False),
    ("only what is not a number", [[(at, "NaN") for at in range(0, 60, 5)]], False),
    ("as much up and down as before", [[(at, str(1 + at % 2 / 5)) for at in range(0, 60, 5)]], False),
    ("a little more than before", [[(at, "1" if at < 45 else "1.2") for at in range(0, 60, 5)]], False),
    ("what had changed before", [[(at, "1" if at < 20 else "0") for at in range(0, 60, 5)]], False),
    ("one of two that falls", [STEADY, [(at, "1" if at < 45 else "0") for at in range(0, 60, 5)]], True),
    ("one that rises from nothing", [[(at, "0" if at < 45 else "0.1") for at in range(0, 60, 5)]], True),
    ("one that falls to where it was long before", [[(at, "1" if 10 <= at < 45 else "0") for at in range(0, 60, 5)]], True),
    ("one that begins", [[(at, "0") for at in range(50, 60, 5)]], True),
    ("one that was not a number", [[(at, "NaN" if at < 45 else "0.1") for at in range(0, 60, 5)]], True),
    ("one that ends", [[(at, "1") for at in range(0, 40, 5)]], True),
)


def results():
    """(what is drawn, whether it was judged rightly)"""
    for name, series, expected in CASES:
        yield name, shows(series, 40, 60, 5) == expected
