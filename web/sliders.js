// Every slider of a motion bears the motion's name and travels as far as the motion was measured to hold; Face Sliders shows as many as it
// has motions. A number typed beyond widens its slider while it stands there: in Nodes 2.0 beside the slider, in the canvas by a double click.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { rootGraph } from "./graph.js";

const LARGEST = 10; // coefficient that may be typed, as in nodes/sliders.py
const TRAVEL = [-1.25, 1.25]; // of a motion that is not known yet
const LOOK_MS = 300;
const FACE = "MicromotionFaceSliders";
const PAIRS = { // motion input and coefficient widget of a node
  MicromotionApplySubspace: [["motion", "coefficient"]],
  [FACE]: Array.from({ length: 8 }, (_, i) => [`motions.motion_${i + 1}`, `coefficient_${i + 1}`]),
};
const INSIDE = -10; // the node that stands for the inputs of a subgraph
const files = new Map(); // file of a motion -> [name, low, high], null where it cannot be told
const made = new Map(); // "execution id:motion input" -> the same, as the last run found it
const ours = new WeakMap(); // widget -> [low, high]
let pressed = false;

const inputOf = (node, name) => node.inputs?.find((input) => input.name === name);
const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name);
const linkInto = (node, name) => node.graph?.getLink?.(inputOf(node, name)?.link) ?? null;

// The input of a subgraph that a link comes from, as [node around it, its name]; null for other links.
function outside(link, graph, hosts) {
  const around = Number(link?.origin_id) === INSIDE ? hosts.at(-1) : null;
  return around ? [around, graph.inputs[link.origin_slot].name] : null;
}

// What an input of a node holds: the value of its widget, or of the one that a subgraph shows for it.
function valueOf(node, name, hosts) {
  const up = outside(linkInto(node, name), node.graph, hosts);
  return up ? valueOf(...up, hosts.slice(0, -1)) : widgetOf(node, name)?.value;
}

// The node that an input of a motion comes from, and the subgraphs around that node.
function sourceOf(node, name, hosts) {
  const link = linkInto(node, name);
  const up = outside(link, node.graph, hosts);
  return up ? sourceOf(...up, hosts.slice(0, -1)) : [node.graph.getNodeById(link?.origin_id), hosts];
}

function motionOf(node, name, hosts) {
  const run = made.get(`${[...hosts, node].map(({ id }) => id).join(":")}:${name}`);
  const [source, around] = sourceOf(node, name, hosts);
  if (source?.type !== "MicromotionLoadSubspace") return run;
  const file = valueOf(source, "file", around);
  if (!files.has(file)) fetchMotion(file);
  const known = files.get(file);
  return known && [known[0] || file.replace(/^.*[\\/]|\.\w+$/g, ""), known[1], known[2]];
}

async function fetchMotion(file) {
  files.set(file, null);
  const answer = await api.fetchApi(`/micromotion/motion?file=${encodeURIComponent(file)}`);
  if (answer.ok) files.set(file, await answer.json());
}

// What changes in a widget's options or in `hidden` is drawn by Nodes 2.0 when its label changes.
function redraw(widget, label) {
  widget.label = `${label} `;
  widget.label = label;
}

function travel(widget, low, high, label) {
  ours.set(widget, [low, high]);
  const value = Math.max(-LARGEST, Math.min(LARGEST, Number(widget.value) || 0));
  const [min, max] = [Math.min(low, value), Math.max(high, value)];
  if (widget.options.min === min && widget.options.max === max && widget.label === label) return;
  Object.assign(widget.options, { min, max });
  redraw(widget, label);
}

function hide(node, widget, hidden) {
  if (Boolean(widget.hidden) === hidden) return;
  widget.hidden = hidden;
  widget.options.hidden = hidden;
  redraw(widget, widget.label ?? widget.name);
  const [width, height] = node.computeSize();
  node.setSize([Math.max(width, node.size[0]), height]);
}

function typed(widget, text) {
  const value = Number(text.replace(",", "."));
  if (!text.trim() || !Number.isFinite(value)) return;
  widget.value = Math.max(-LARGEST, Math.min(LARGEST, value));
  widget.callback?.(widget.value);
  travel(widget, ...ours.get(widget), widget.label);
}

// In the canvas a double click on a slider asks for a number.
function askOnDoubleClick(widget) {
  if (ours.has(widget)) return;
  const before = widget.onPointerDown;
  widget.onPointerDown = function (pointer, node, canvas) {
    const handled = before?.apply(this, arguments);
    pointer.onDoubleClick = () => canvas.prompt(widget.label, widget.value, (text) => typed(widget, String(text)), pointer.eDown);
    return handled;
  };
}

function dress(node, motionName, name, hosts) {
  const widget = widgetOf(node, name);
  if (!widget) return;
  const motion = motionOf(node, motionName, hosts);
  const [, low, high] = motion ?? ["", ...TRAVEL];
  const label = node.type === FACE ? motion?.[0] || name : name;
  for (let [around, one, at] = [hosts, widget, node], shown = label; one; shown = one?.label) {
    askOnDoubleClick(one);
    travel(one, low, high, shown);
    const up = outside(linkInto(at, one.name), at.graph, around);
    [around, at, one] = [around.slice(0, -1), up?.[0], up && widgetOf(...up)];
  }
  const linked = (put) => inputOf(node, put)?.link != null;
  if (node.type === FACE) hide(node, widget, !linked(motionName) && !linked(name) && name !== "coefficient_1");
}

function look(graph = rootGraph(), hosts = []) {
  for (const node of graph?.nodes ?? []) {
    if (node.subgraph) look(node.subgraph, [...hosts, node]);
    for (const [motion, name] of PAIRS[node.type] ?? []) dress(node, motion, name, hosts);
  }
}

// The field beside a slider of Nodes 2.0 cuts off what lies beyond the slider when one leaves it or presses Enter: then it is put back.
function putBack({ target, key }) {
  const element = (key ?? "Enter") === "Enter" && target.matches?.("input") && target.closest("[data-node-id]");
  const node = element && app.canvas.graph?.getNodeById(element.dataset.nodeId);
  const names = [target.ariaLabel, target.closest?.("[aria-label]")?.ariaLabel];
  const widget = node?.widgets?.find((one) => ours.has(one) && (names.includes(one.name) || names.includes(one.label)));
  const [text, value] = [target.value, Number(target.value?.replace(",", "."))];
  if (widget && !(value >= widget.options.min && value <= widget.options.max)) setTimeout(() => typed(widget, text));
}

app.registerExtension({
  name: "micromotion.sliders",
  setup() {
    api.addEventListener("executed", ({ detail }) => {
      for (const [input, ...motion] of detail.output?.sliders ?? []) made.set(`${detail.node}:${input}`, motion);
    });
    window.addEventListener("pointerdown", () => (pressed = true), true);
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (pressed = false), true);
    for (const end of ["keydown", "blur"]) document.addEventListener(end, putBack, true);
    setInterval(() => pressed || document.activeElement?.matches("[data-node-id] input") || look(), LOOK_MS);
  },
  afterConfigureGraph: () => look(),
});
