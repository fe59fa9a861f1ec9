#!/usr/bin/env python3
"""Draws how soon each drill was told in chat, from the figures of all drills.

stack/docs/overview.py stack/results/drills.json stack/docs/drills.svg
"""
import html
import json
import math
import pathlib
import sys

WIDTH, LEFT, RIGHT, TOP, ROW = 880, 170, 84, 84, 22
SHORTEST, LONGEST = 0.5, 1000.0
ALERT, CHAT, GREY, INK = "#9a6700", "#8250df", "#57606a", "#1f2328"


def place(seconds):
    """Where so many seconds are: each tenfold takes as much room as the next."""
    share = math.log10(min(max(seconds, SHORTEST), LONGEST) / SHORTEST) / math.log10(LONGEST / SHORTEST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def draw(results):
    drills = sorted((drill for drill in results["drills"] if drill["ok"]), key=lambda drill: drill["chat_s"])
    height = TOP + ROW * len(drills) + 16
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
           f'font-family="system-ui, sans-serif" font-size="13">')
    yield f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff" stroke="#d0d7de"/>'
    yield (f'<text x="24" y="32" font-size="16" font-weight="600" fill="{INK}">From the fault to chat, in seconds: '
           f'{len(drills)} drills of {results["date"]}</text>')
    yield (f'<text x="24" y="52" fill="{GREY}">the windows of rules shortened; '
           f'<tspan fill="{ALERT}">until the alert fires</tspan>, <tspan fill="{CHAT}">until chat accepted the message</tspan></text>')
    for seconds in (1, 10, 100, 1000):
        x = place(seconds)
        yield f'<line x1="{x:.0f}" y1="{TOP - 8}" x2="{x:.0f}" y2="{height - 12}" stroke="#d0d7de"/>'
        yield f'<text x="{x:.0f}" y="{TOP - 12}" text-anchor="middle" fill="{GREY}">{seconds}</text>'
    for row, drill in enumerate(drills):
        y = TOP + ROW * row + 10
        chat, alerted = drill["chat_s"], min(drill["alerted_s"] or drill["chat_s"], drill["chat_s"])
        yield f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end" fill="{INK}">{html.escape(drill["drill"])}</text>'
        for begin, end, colour in ((LEFT, place(alerted), ALERT), (place(alerted), place(chat), CHAT)):
            yield f'<rect x="{begin:.1f}" y="{y - 5}" width="{max(end - begin, 2):.1f}" height="10" fill="{colour}"/>'
        yield f'<text x="{place(chat) + 8:.0f}" y="{y + 4}" fill="{INK}">{chat:.1f}</text>'
    yield "</svg>"


def main():
    results = json.loads(pathlib.Path(sys.argv[1]).read_text())
    pathlib.Path(sys.argv[2]).write_text("\n".join(draw(results)) + "\n")


if __name__ == "__main__":
    main()
