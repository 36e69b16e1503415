"""Makes labelled sentences from the templates of home-assistant-intents (Apache-2.0): `make-slots.py OUT [LANGUAGE]`.

Writes train.jsonl, validation.jsonl and test.jsonl with `tokens` and IOB2 `tags`. All sentences of a template are in one of
them. Needs the package home-assistant-intents from PyPI.
"""

import importlib.resources
import json
import pathlib
import random
import re
import sys

# Names that a home has; the package leaves them to each home.
NAMES = {
    "en": ["kitchen light", "bedroom lamp", "ceiling fan", "front door", "garage door", "coffee machine", "tv", "thermostat"],
    "de": ["Küchenlicht", "Lampe am Bett", "Deckenventilator", "Haustür", "Garagentor", "Kaffeemaschine", "Fernseher"],
}
AREAS = {
    "en": ["kitchen", "living room", "bedroom", "garage", "upstairs bathroom", "office"],
    "de": ["Küche", "Wohnzimmer", "Schlafzimmer", "Garage", "Bad im Keller", "Büro"],
}
EACH = 6


def cut(text):
    """Alternatives of a template, cut at the bars outside of brackets."""
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([<{") - (letter in ")]>}")
        if letter == "|" and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
    return [*parts, text[begin:]]


class Expander:
    def __init__(self, data, language, draw):
        self.rules, self.lists, self.draw = data["expansion_rules"], data["lists"], draw
        self.own = {"name": NAMES[language], "area": AREAS[language], "floor": AREAS[language]}

    def expand(self, text, depth=0):
        """A drawn expansion: pairs of text and the slot that it fills, or None."""
        if depth > 12:
            raise ValueError("too deep")
        text = self.draw.choice(cut(text))
        pieces, place = [], 0
        while place < len(text):
            letter = text[place]
            if letter not in "([<{":
                end = place + 1
                while end < len(text) and text[end] not in "([<{":
                    end += 1
                pieces.append((text[place:end], None))
                place = end
                continue
            level, end = 0, place
            while True:
                level += (text[end] in "([<{") - (text[end] in ")]>}")
                end += 1
                if level == 0:
                    break
            inner = text[place + 1 : end - 1]
            if letter == "(" or (letter == "[" and self.draw.random() < 0.5):
                pieces += self.expand(inner, depth + 1)
            elif letter == "<":
                pieces += self.expand(self.rules[inner], depth + 1)
            elif letter == "{":
                listed, _, slot = inner.partition(":")
                pieces.append((self.value(listed, depth), slot or listed))
            place = end
        return pieces

    def value(self, name, depth):
        if name in self.own:
            return self.draw.choice(self.own[name])
        listed = self.lists[name]
        if "range" in listed:
            return str(self.draw.randint(listed["range"]["from"], listed["range"]["to"]))
        if listed.get("wildcard"):
            return " ".join(self.draw.sample(self.own["name"] + self.own["area"], 1))
        chosen = self.draw.choice(listed["values"])
        chosen = chosen["in"] if isinstance(chosen, dict) else chosen
        return "".join(text for text, _ in self.expand(chosen, depth + 1))


def tagged(pieces):
    text, spans = "", []
    for piece, slot in pieces:
        begin = len(text)
        text += piece
        if slot:
            spans.append((begin, len(text), slot))
    tokens, tags, before = [], [], None
    for found in re.finditer(r"\w+(?:['’.,-]\w+)*|[^\w\s]", text):
        span = next((s for s in spans if s[0] <= found.start() < s[1]), None)
        tokens.append(found.group())
        tags.append("O" if span is None else ("I-" if span is before else "B-") + span[2])
        before = span
    return tokens, tags


def main():
    out, language = pathlib.Path(sys.argv[1]), (sys.argv[2:] or ["en"])[0]
    source = importlib.resources.files("home_assistant_intents") / "data" / f"{language}.json"
    data, draw = json.loads(source.read_text()), random.Random(1)
    expander = Expander(data, language, draw)
    templates = sorted({t for intent in data["intents"].values() for block in intent["data"] for t in block["sentences"]})
    draw.shuffle(templates)
    out.mkdir(parents=True, exist_ok=True)
    ends = [int(0.7 * len(templates)), int(0.85 * len(templates)), len(templates)]
    begin, seen, lost = 0, set(), 0
    for part, end in zip(["train", "validation", "test"], ends):
        lines = []
        for template in templates[begin:end]:
            for _ in range(EACH):
                try:
                    tokens, tags = tagged(expander.expand(template))
                except (KeyError, ValueError):
                    lost += 1
                    continue
                if tokens and tuple(tokens) not in seen:
                    seen.add(tuple(tokens))
                    lines.append(json.dumps({"tokens": tokens, "tags": tags}, ensure_ascii=False))
        (out / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
        print(f"{part}: {len(lines)} sentences of {end - begin} templates")
        begin = end
    print(f"{lost} expansions name lists or rules that the package does not hold")


if __name__ == "__main__":
    main()
