#!/usr/bin/env python3
"""Draws what a drill prints: its events, and the first message that chat received.

cargo run -p stack -- drill db_down | stack/docs/timeline.py stack/docs/db_down.svg stack/docs/message.svg
"""
import html
import json
import pathlib
import re
import sys

EVENT = re.compile(r" +([+-]\d+\.\d+) s  (.{8})  (.+)")
QUOTE = re.compile(r" +\| (.+)")
LINK = re.compile(r"(.+?)(?: \(opens on that machine only\))?: https?://\S+")
WIDTH, LEFT, RIGHT, TOP, ROW = 880, 150, 24, 64, 27
GREY = "#57606a"
COLOURS = {"WRONG": "#b00000", "fault": "#d1242f", "detected": "#bc4c00", "alert": "#9a6700", "chat": "#8250df",
           "taken": "#0969da", "repair": "#1b7c83", "resolved": "#1a7f37", "": GREY}


def read(lines):
    """[(second, kind, event)], the lines of the first message, and the outcome in the drill's last line."""
    events, message, outcome = [], [], {}
    for line in lines:
        if match := EVENT.fullmatch(line.rstrip("\n")):
            events.append((float(match[1]), match[2].strip(), match[3].rstrip(":")))
        elif match := QUOTE.fullmatch(line.rstrip("\n")):
            if events[-1][1] == "chat" and sum(kind == "chat" for _, kind, _ in events) == 1:
                message.append(match[1])
        elif line.startswith("{"):
            outcome = json.loads(line)
    return events, message, outcome


def bubble(message):
    """The message as chat shows it, links by their names."""
    height = 28 + 24 * len(message)
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
           f'font-family="system-ui, sans-serif" font-size="14">')
    yield f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff" stroke="#d0d7de"/>'
    yield f'<rect width="6" height="{height}" fill="#d1242f"/>'
    for row, line in enumerate(message):
        link = LINK.fullmatch(line)
        style = ' fill="#0969da" text-decoration="underline"' if link else ' fill="#1f2328"' + (' font-weight="600"' if row == 0 else "")
        yield f'<text x="24" y="{32 + 24 * row}"{style}>{html.escape(link[1] if link else line)}</text>'
    yield "</svg>"


def draw(events, outcome):
    """Each event beside its second; the bar says how long it was broken, and how long until it was told."""
    height = TOP + ROW * len(events) + 12
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
           f'font-family="system-ui, sans-serif" font-size="14">')
    yield f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff" stroke="#d0d7de"/>'
    title = f"make drill NAME={outcome['drill']}: "
    title += f"told in chat after {outcome['chat_s']:.2f} s" if outcome["chat_s"] else "not told"
    if outcome.get("resolved_s"):
        title += f", RESOLVED {outcome['resolved_s']:.0f} s after it was back"
    if not outcome["ok"]:
        title += ", and something was wrong"
    yield f'<text x="24" y="36" font-size="16" font-weight="600" fill="#1f2328">{html.escape(title)}</text>'
    line = LEFT - 20
    yield f'<line x1="{line}" y1="{TOP}" x2="{line}" y2="{height - 24}" stroke="#d0d7de" stroke-width="2"/>'
    for row, (second, kind, text) in enumerate(events):
        y = TOP + ROW * row + 12
        yield f'<circle cx="{line}" cy="{y}" r="6" fill="{COLOURS[kind]}"/>'
        yield f'<text x="{line - 18}" y="{y + 5}" text-anchor="end" fill="{GREY}">{second:+.2f} s</text>'
        yield f'<text x="{LEFT}" y="{y + 5}" fill="#1f2328">{html.escape(text if kind in text.lower() else f"{kind}: {text}")}</text>'
    yield "</svg>"


def main():
    events, message, outcome = read(sys.stdin)
    if not outcome:
        sys.exit("the drill has no outcome in its last line")
    for file, lines in zip(sys.argv[1:], (draw(events, outcome), bubble(message))):
        pathlib.Path(file).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
