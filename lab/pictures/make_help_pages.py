"""Write what the nodes say of themselves into their help pages: ``python lab/pictures/make_help_pages.py``.

The lists of inputs and outputs come from the nodes and ``locales/*/nodeDefs.json``; what stands before and after the lists of an English
page is written by hand and stays. The last section of the pages in other languages comes from their ``help.json``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hosts import hosted

ROOT = Path(__file__).resolve().parents[2]
DOCS, LOCALES = ROOT / "web" / "docs", ROOT / "locales"
DYNAMIC, GROWING = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"
NAMES = ("inputs", "outputs", "tips", "default", "optional", "with")
WORDS = {
    "en": dict(zip(NAMES, ("Inputs", "Outputs", "Good to know", "Default {}.", "Optional.", "With {}:"))),
    "zh": dict(zip(NAMES, ("输入", "输出", "须知", "默认 {}。", "可选。", "选 {} 时:"))),
    "ja": dict(zip(NAMES, ("入力", "出力", "知っておくこと", "既定値 {}。", "省略可。", "{} のとき:"))),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as base, hosted.Server(Path(base)) as server:
        info = {name: node for name, node in server.get("/object_info").items() if name.startswith("Micromotion")}
    english = json.loads((LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
    for name, node in info.items():
        page = DOCS / f"{name}.md"
        before, _, rest = page.read_text(encoding="utf-8").partition("\n## Inputs\n")
        _, _, tips = rest.rpartition("\n## Good to know\n")
        page.write_text(f"{before}\n{lists(node, english[name], 'en')}\n## Good to know\n{tips}", encoding="utf-8")
    for language in ("zh", "ja"):
        spoken, tips = (json.loads((LOCALES / language / f"{file}.json").read_text(encoding="utf-8")) for file in ("nodeDefs", "help"))
        for name, node in info.items():
            translated(name, node, spoken[name], tips.get(name, []), language)


def puts(sections: dict, prefix: str = "") -> Iterator[tuple[str, str, int, dict]]:
    """Key of the translation, name, depth and options of every input, those of a dynamic combo after it."""
    for section in ("required", "optional"):
        for name, spec in sections.get(section, {}).items():
            options = {"kind": spec[0], "optional": section == "optional", **(spec[1] if len(spec) > 1 else {})}
            yield f"{prefix}{name}", name, prefix.count("_") and 1, options
            if spec[0] == DYNAMIC:
                for option in options["options"]:
                    for key, inner, _, inside in puts(option["inputs"], f"{name}_"):
                        yield key, inner, 1, {**inside, "option": option["key"]}


def lists(node: dict, spoken: dict, language: str) -> str:
    """The inputs and outputs as lists, which fit the page's side bar."""
    words, lines, option = WORDS[language], [], None
    lines.append(f"## {words['inputs']}\n")
    for key, _, depth, options in puts(node["input"]):
        if depth and options["option"] != option:
            option = options["option"]
            lines.append(f"  - *{words['with'].format(option)}*")
        text = spoken["inputs"][key]
        lines.append(f"{'    ' * depth}- `{text['name']}` {' '.join([text['tooltip'], *facts(options, words)])}")
    if node["output"]:
        lines.append(f"\n## {words['outputs']}\n")
        lines += [f"- `{text['name']}` {text['tooltip']}" for text in spoken["outputs"].values()]
    return "\n".join(lines) + "\n"


def facts(options: dict, words: dict) -> list[str]:
    """The default where there is one to tell, and whether a socket may stay empty."""
    default = options.get("default")
    said = (
        [words["default"].format("on" if default is True else "off" if default is False else default)]
        if isinstance(default, (str, int, float)) and default != ""
        else []
    )
    return said + ([words["optional"]] if options["optional"] and default is None and options["kind"].isupper() and not said else [])


def translated(name: str, node: dict, spoken: dict, tips: list[str], language: str) -> None:
    folder = DOCS / name
    folder.mkdir(exist_ok=True)
    head = f"# {spoken['display_name']}\n\n{spoken['description']}\n\n![{spoken['display_name']}](../pictures/{name}.jpg)\n"
    tail = f"\n## {WORDS[language]['tips']}\n\n" + "\n".join(f"- {tip}" for tip in tips) + "\n" if tips else ""
    body = f"{head}\n{lists(node, spoken, language)}{tail}"
    (folder / f"{language}.md").write_text(body, encoding="utf-8")


if __name__ == "__main__":
    main()
