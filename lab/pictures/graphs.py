"""Workflow files, built from a few lines: nodes by name, links by name, columns instead of positions, subgraphs with named inputs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

VERSION = "0.1.0"
NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "CURVE", "COMFY_DYNAMICCOMBO_V3"}
DYNAMIC, GROWING = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3"
IDS = 100  # from one subgraph's first id to the next one's
TITLE = 30  # pixels above a node's position
VIEW = [70, 115]  # where the graph begins in the window: right of the side bar, below the bar with Run
GAP = 70  # pixels between columns
BETWEEN = 50  # pixels between nodes of a column, with the title of the lower one
INPUT_ID, OUTPUT_ID = -10, -20
UNQUOTED = "!~*'()"  # what the page leaves in the name of a widget, beside letters and digits
OPTIONS = ("keyframes", "curve", "blendshapes", "by hand")
MUTED = 2  # mode of a node that is switched off


@dataclass(eq=False)
class Node:
    """One node: its type, what its widgets hold, where it stands."""

    kind: str
    values: dict
    width: int = 300
    height: int = 60
    title: str = ""
    mode: int = 0
    properties: dict = field(default_factory=dict)
    id: int = 0
    x: float = 0
    y: float = 0

    def __getitem__(self, output: str) -> tuple[Node, str]:
        return self, output


class Graph:
    """Nodes and links on one level: a workflow, or the inside of a subgraph."""

    def __init__(self, info: dict, rooms: dict | None = None):
        self.info, self.rooms = info, rooms or {}
        self.nodes: list[Node] = []
        self.links: list[list] = []  # [source, output, target, input]
        self.subgraphs: dict[str, Subgraph] = {}
        self.next_id, self.next_link, self.made = 1, 1, 0

    def add(
        self, kind: str, *, width: int = 300, height: int = 0, title: str = "", mode: int = 0, properties: dict | None = None, **puts
    ) -> Node:
        """A node; an argument that is a node or ``node[output]`` becomes a link, any other the value of a widget."""
        if kind not in self.info and f"Micromotion{kind}" in self.info:
            kind = f"Micromotion{kind}"
        node = Node(kind, {}, width, height, title, mode, properties or {}, self.next_id)
        self.next_id += 1
        self.nodes.append(node)
        for name, put in puts.items():
            name = name.replace("__", ".")
            if put is None:
                continue
            if isinstance(put, (Node, Inlet)) or (isinstance(put, tuple) and isinstance(put[0], Node)):
                self.link(put, node, name)
            else:
                node.values[name] = put
        node.height = node.height or self.rooms.get(room_key(node), 100)
        return node

    def link(self, source, target: Node, name: str) -> None:
        node, output = source if isinstance(source, tuple) else (source, None)
        self.links.append([node, output, target, name])

    def note(self, text: str, width: int = 320, height: int = 220, title: str = "Read me first") -> Node:
        return self.add("MarkdownNote", width=width, height=height, title=title, text=text)

    def use(self, subgraph: Subgraph, *, width: int = 310, **puts) -> Node:
        """The subgraph as one node; what its widgets hold stands inside too, where pages before 1.49 look for it."""
        for inlet in subgraph.inlets:
            if inlet.widget and isinstance(put := puts.get(inlet.name, inlet.value), (str, int, float)):
                inlet.value = put
        widgets = sum(inlet.widget for inlet in subgraph.inlets)
        height = 30 + 22 * max(len(subgraph.inlets) - widgets, len(subgraph.outlets)) + 32 * widgets + 40
        self.subgraphs[subgraph.id] = subgraph
        self.info = {**self.info, subgraph.id: subgraph.definition()}
        return self.add(subgraph.id, width=width, height=height, title=subgraph.name, **puts)

    def columns(self, *columns: Sequence[Node | int] | int, x: float = 0, y: float = 0, gap: float = GAP) -> None:
        """Nodes below each other in columns, columns from left to right; a number among them is as much more room for wires."""
        for column in columns:
            if isinstance(column, int):
                x += column
                continue
            top = y
            for node in column:
                if isinstance(node, int):
                    top += node
                    continue
                node.x, node.y = x, top + TITLE
                top += node.height + BETWEEN
            x += max(node.width for node in column if isinstance(node, Node)) + gap

    def outputs(self, node: Node) -> list[tuple[str, str]]:
        definition = self.info.get(node.kind)
        return list(zip(definition["output_name"], definition["output"])) if definition else []

    def save(self) -> tuple[list[dict], list[list]]:
        """Nodes and links ``[id, from, slot, to, slot, type]`` as the page saves them."""
        made, drawn = {node: self._node(node) for node in self.nodes}, []
        for number, (source, output, target, name) in enumerate(self.links, self.next_link):
            slot, kind = self._origin(source, output)
            put = next((put for put in made[target]["inputs"] if put["name"] == name), None)
            assert put is not None, f"{target.kind} has no input {name}: {[p['name'] for p in made[target]['inputs']]}"
            put["link"] = number
            drawn.append([number, source.id, slot, target.id, made[target]["inputs"].index(put), kind])
            if source in made:
                out = made[source]["outputs"][slot]
                out["links"] = [*(out["links"] or []), number]
        return list(made.values()), drawn

    def _origin(self, source, output: str | None) -> tuple[int, str]:
        if isinstance(source, Inlet):
            return source.slot, source.type
        names = self.outputs(source)
        slot = 0 if output is None else next(i for i, (name, _) in enumerate(names) if name == output)
        return slot, names[slot][1]

    def _node(self, node: Node) -> dict:
        definition = self.info.get(node.kind)
        held = node.values | {name: put.value for put, _, target, name in self.links if target is node and getattr(put, "widget", False)}
        inputs, values = ([], list(node.values.values())) if definition is None else fill(definition, held, self._linked(node))
        ours = node.kind.startswith("Micromotion") or node.kind in self.subgraphs
        properties: dict[str, Any] = {"cnr_id": "micromotion" if ours else "comfy-core", "ver": VERSION if ours else "0.26.0"}
        if node.kind in self.subgraphs:
            properties["proxyWidgets"] = [["-1", put["name"]] for put in inputs if "widget" in put]
        elif definition:
            properties["Node name for S&R"] = node.kind
        saved = {
            "id": node.id, "type": node.kind, "pos": [node.x, node.y], "size": [node.width, node.height], "flags": {},
            "order": self.nodes.index(node), "mode": node.mode, "inputs": inputs,
            "outputs": [{"name": name, "type": kind, "links": None} for name, kind in self.outputs(node)],
            "properties": properties | node.properties, "widgets_values": values,
        }  # fmt: skip
        return saved | ({"title": node.title} if node.title else {}) | ({"color": "#432", "bgcolor": "#000"} if definition is None else {})

    def _linked(self, node: Node) -> set[str]:
        return {name for _, _, target, name in self.links if target is node}


@dataclass(eq=False)
class Inlet:
    """An input of a subgraph: a socket, or a widget that its node shows under ``label``."""

    name: str
    type: str = ""
    value: object = None
    label: str = ""
    slot: int = 0
    id: int = INPUT_ID

    @property
    def widget(self) -> bool:
        return self.value is not None


class Subgraph(Graph):
    """A graph with named inputs and outputs, used as one node."""

    def __init__(self, around: Graph, name: str, description: str = "", aliases: tuple[str, ...] = ()):
        super().__init__(around.info, around.rooms)
        around.made += 1
        self.next_id = self.next_link = IDS * around.made + 1  # the page warns of ids that two levels share
        self.id, self.name = str(uuid.uuid5(NAMESPACE, name)), name
        self.description, self.aliases = description, aliases
        self.inlets: list[Inlet] = []
        self.outlets: list[tuple[str, tuple[Node, str]]] = []

    def inlet(self, name: str, type: str, value=None, label: str = "") -> Inlet:
        self.inlets.append(Inlet(name, type, value, label, len(self.inlets)))
        return self.inlets[-1]

    def outlet(self, name: str, source) -> None:
        self.outlets.append((name, source if isinstance(source, tuple) else source[self.outputs(source)[0][0]]))

    def definition(self) -> dict:
        """What ``/object_info`` would say of it."""
        puts = {i.name: [i.type, {"default": i.value, "label": i.label, "widget": i.widget}] for i in self.inlets}
        kinds = [dict(self.outputs(node))[output] for _, (node, output) in self.outlets]
        return {"input": {"required": puts}, "output": kinds, "output_name": [name for name, _ in self.outlets], "subgraph": True}

    def saved(self) -> dict:
        """The entry of ``definitions.subgraphs``."""
        left, right = min(n.x for n in self.nodes), max(n.x + n.width for n in self.nodes)
        top = min(n.y for n in self.nodes)
        nodes, links = self.save()
        inputs, outputs, n = [], [], self.next_link + len(links) - 1
        for inlet in self.inlets:
            ids = [link[0] for link in links if link[1] == INPUT_ID and link[2] == inlet.slot]
            inputs.append(self._port(inlet.name, inlet.type, ids, left - 190, top + 20 * inlet.slot, inlet.label))
        for slot, (name, (node, output)) in enumerate(self.outlets):
            origin, kind = self._origin(node, output)
            n += 1
            links.append([n, node.id, origin, OUTPUT_ID, slot, kind])
            out = next(one for one in nodes if one["id"] == node.id)["outputs"][origin]
            out["links"] = [*(out["links"] or []), n]
            outputs.append(self._port(name, kind, [n], right + 90, top + 20 * slot, ""))
        extra = {"BlueprintDescription": self.description, "BlueprintSearchAliases": list(self.aliases)} if self.description else {}
        return {
            "id": self.id, "version": 1, "revision": 0, "config": {}, "name": self.name, "description": self.description,
            "state": {"lastGroupId": 0, "lastNodeId": self.next_id - 1, "lastLinkId": n, "lastRerouteId": 0},
            "inputNode": {"id": INPUT_ID, "bounding": [left - 260, top - 20, 130, 40 + 20 * len(inputs)]},
            "outputNode": {"id": OUTPUT_ID, "bounding": [right + 70, top - 20, 120, 40 + 20 * len(outputs)]},
            "inputs": inputs, "outputs": outputs, "widgets": [], "nodes": nodes, "groups": [],
            "links": [dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"), link)) for link in links],
            "extra": {"workflowRendererVersion": "LG", **extra},
        }  # fmt: skip

    def _port(self, name: str, kind: str, ids: list[int], x: float, y: float, label: str) -> dict:
        port = {"id": str(uuid.uuid5(NAMESPACE, f"{self.name}/{name}/{kind}")), "name": name, "type": kind, "linkIds": ids, "pos": [x, y]}
        return port | ({"label": label} if label else {})


def workflow(graph: Graph, name: str, form: list[tuple[Node, str]], results: list[Node], groups: list[dict] | None = None) -> dict:
    """The file: ``form`` and ``results`` are what App Mode shows."""
    nodes, links = graph.save()
    inner = [inner.saved() for inner in every(graph)]
    last = max([link[0] for link in links] + [one["state"]["lastLinkId"] for one in inner], default=0)
    extra = {"ds": {"scale": 1.0, "offset": VIEW}, "workflowRendererVersion": "LG"}
    own = str(uuid.uuid5(NAMESPACE, name))
    inputs = [[f"{own}:{node.id}:{quote(widget, safe=UNQUOTED)}", widget] for node, widget in form]
    extra["linearData"] = {"inputs": inputs, "outputs": [node.id for node in results]}
    return {
        "id": own, "revision": 0, "last_node_id": graph.next_id - 1, "last_link_id": last,
        "nodes": nodes, "links": links, "groups": groups or [],
        "definitions": {"subgraphs": inner},
        "config": {}, "extra": extra, "version": 0.4,
    }  # fmt: skip


def blueprint(subgraph: Subgraph) -> dict:
    """The file of a subgraph by itself."""
    outer = Graph(subgraph.info, subgraph.rooms)
    outer.columns([outer.use(subgraph)])
    made = workflow(outer, f"blueprint {subgraph.name}", [], [])
    return {**made, "extra": {}}


def room_key(node: Node) -> tuple:
    """What decides how high a node must be: its type, its width, and the options that are open."""
    return (node.kind, node.width, *(value for value in node.values.values() if value in OPTIONS))


def every(graph: Graph) -> list[Subgraph]:
    """The subgraphs of a graph and those inside them, each once."""
    found = {}
    for subgraph in graph.subgraphs.values():
        found |= {subgraph.id: subgraph} | {inner.id: inner for inner in every(subgraph)}
    return list(found.values())


def group(title: str, nodes: list[Node], color: str, number: int) -> dict:
    """A colored frame around nodes."""
    left, top = min(n.x for n in nodes) - 15, min(n.y for n in nodes) - TITLE - 45
    right, bottom = max(n.x + n.width for n in nodes) + 15, max(n.y + n.height for n in nodes) + 15
    return {"id": number, "title": title, "bounding": [left, top, right - left, bottom - top], "color": color, "font_size": 22, "flags": {}}


def fill(definition: dict, values: dict, linked: set[str]) -> tuple[list[dict], list]:
    """The saved inputs and widget values of a node; unnamed widgets take their defaults."""
    inputs, filled, left = [], [], dict(values)
    for name, kind, options in puts(definition["input"], values, linked):
        entry = {"name": name, "type": kind, "link": None}
        if options.get("label"):
            entry["label"] = options["label"]
        if is_widget(kind, options):
            entry["widget"] = {"name": name}
            filled.append(left.pop(name, default(kind, options)))
            if options.get("control_after_generate"):
                filled.append(left.pop("control_after_generate", "fixed"))
            if options.get("image_upload") or options.get("video_upload"):
                filled.append("image")
        inputs.append(entry)
    assert not left, f"no such widgets: {left}"
    return inputs, filled


def puts(sections: dict, values: dict, linked: set[str], prefix: str = "") -> Iterator[tuple[str, str, dict]]:
    """Name, type and options of every input that a node shows, dynamic ones opened."""
    for section in ("required", "optional"):
        for name, spec in sections.get(section, {}).items():
            name, kind, options = prefix + name, "COMBO" if isinstance(spec[0], list) else spec[0], spec[1] if len(spec) > 1 else {}
            if isinstance(spec[0], list):
                options = {**options, "options": spec[0]}
            if kind == GROWING:
                yield from growing(name, options["template"], linked)
                continue
            yield name, kind, options
            if kind == DYNAMIC:
                chosen = values.get(name, options["options"][0]["key"])
                inner = next(option for option in options["options"] if option["key"] == chosen)["inputs"]
                yield from puts(inner, values, linked, f"{name}.")


def growing(name: str, template: dict, linked: set[str]) -> Iterator[tuple[str, str, dict]]:
    """The sockets of a growing input: those that are linked, and one more."""
    kind = next(iter(template["input"]["required"].values()))[0]
    count = sum(one.startswith(f"{name}.") for one in linked)
    names = template.get("names") or [f"{template['prefix']}{i}" for i in range(template["max"])]
    for one in names[: count + 1]:
        yield f"{name}.{one}", kind, {}


def is_widget(kind: str, options: dict) -> bool:
    return options.get("widget", kind in WIDGETS and not options.get("forceInput"))


def default(kind: str, options: dict):
    if kind == DYNAMIC:
        return options["options"][0]["key"]
    return options.get("default", (options.get("options") or [None])[0])
