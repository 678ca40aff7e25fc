// With Run (On Change) the page runs a graph when a slider is let go. In graphs with nodes of this pack pictures come while the mouse moves,
// too, always for the newest values: beside the queue where the pack can draw what follows the sliders by itself, which costs a fraction,
// else by a run, one at a time. These runs do not use the page's Run button, so that a drag is one step of undo and not a hundred.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { path, rootGraph } from "./graph.js";

const LOOK_MS = 10;
const ROUTE = "/micromotion/live"; // as in nodes/live.py
const NUMBERS = ["number", "slider", "FLOAT", "INT"]; // types of widgets that one drags

let dragging = false;
let busy = false;
let timer = 0;
let sent = "";
let beside = false; // whether the last picture came beside the queue
const waiting = new Map(); // prompt id -> what to do when it ends; or true where it ended before it was known

const onChange = () => app.extensionManager?.queueSettings?.mode === "change";
const isOurs = (node) => node.type?.startsWith("Micromotion") || node.subgraph?.nodes?.some(isOurs);

// What the sliders of our nodes, and of subgraphs around them, stand at.
function values(graph = rootGraph()) {
  const nodes = (graph?.nodes ?? []).filter(isOurs);
  const sliders = nodes.flatMap((node) => node.widgets ?? []).filter((widget) => NUMBERS.includes(widget.type));
  return sliders.map((widget) => widget.value).join() + nodes.map((node) => (node.subgraph ? values(node.subgraph) : "")).join(";");
}

function ended({ detail }) {
  const then = waiting.get(detail.prompt_id);
  waiting.delete(detail.prompt_id);
  then ? then() : busy && waiting.set(detail.prompt_id, true);
}

async function run({ output, workflow }) {
  const { prompt_id } = await api.queuePrompt(0, { output, workflow });
  if (!waiting.delete(prompt_id)) await new Promise((then) => waiting.set(prompt_id, then));
}

// As the page does after a run; the canvas would look for new pictures with its next frame only.
function show(id, picture) {
  const node = app.extensionManager.setting.get("Comfy.VueNodes.Enabled") ? null : path(id).at(-1);
  if (!node?.imgs) return api.dispatchCustomEvent("executed", { node: id, display_node: id, output: { images: [picture] }, prompt_id: "" });
  const image = new Image();
  image.onload = () => {
    node.imgs = [image];
    app.canvas.setDirty(true);
  };
  image.src = api.apiURL(`/view?${new URLSearchParams(picture)}`);
}

// Whether the pictures after the sliders came beside the queue.
async function draw({ output }) {
  const answer = await api.fetchApi(ROUTE, { method: "POST", body: JSON.stringify(output) });
  const { pictures } = answer.ok ? await answer.json() : {};
  for (const [id, picture] of Object.entries((dragging && pictures) || {})) show(id, picture);
  return Boolean(pictures);
}

async function look() {
  if (busy) return;
  const now = values();
  if (now === sent && (dragging || !beside)) return dragging || stop();
  [busy, sent] = [true, now];
  try {
    const graph = await app.graphToPrompt();
    beside = dragging && (await draw(graph));
    if (!beside) await run(graph); // so is always the last picture, of where the slider was left
  } catch (error) {
    beside = false;
    console.warn("micromotion: no live picture;", error.message ?? error); // Run, at the end of the drag, shows what is wrong
  }
  busy = false;
  look();
}

function start() {
  if (!onChange()) return;
  dragging = true;
  if (timer) return;
  sent = values();
  timer = setInterval(look, LOOK_MS);
}

function stop() {
  clearInterval(timer);
  timer = 0;
  waiting.clear();
}

app.registerExtension({
  name: "micromotion.live",
  setup() {
    for (const end of ["execution_success", "execution_error", "execution_interrupted"]) api.addEventListener(end, ended);
    window.addEventListener("pointerdown", start, true);
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, () => (dragging = false), true);
  },
});
