// When a workflow is opened that names an example picture of this pack, ask the server to put it where Load Image looks.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const LOADERS = { LoadImage: "image", LoadVideo: "file" };
const loaders = {}; // what the page knows of them, by type
const EXAMPLE = /^micromotion_[\w-]+\.(png|jpg|mp4)$/;

function allNodes(graph) {
  const inner = (graph.definitions?.subgraphs ?? []).flatMap((subgraph) => subgraph.nodes ?? []);
  return [...(graph.nodes ?? []), ...inner];
}

function named(graph) {
  const values = allNodes(graph).filter((node) => node.type in LOADERS).map((node) => [node.type, node.widgets_values?.[0]]);
  return values.filter(([, value]) => EXAMPLE.test(value ?? ""));
}

function list(type, name) {
  const choices = loaders[type]?.nodeData?.input?.required?.[LOADERS[type]];
  const options = Array.isArray(choices?.[0]) ? choices[0] : choices?.[1]?.options;
  if (options && !options.includes(name)) options.push(name);
}

app.registerExtension({
  name: "micromotion.examples",
  beforeRegisterNodeDef(type, { name }) {
    if (name in LOADERS) loaders[name] = type;
  },
  async beforeConfigureGraph(graph) {
    const wanted = named(graph);
    if (!wanted.length) return;
    await api.fetchApi("/micromotion/examples", { method: "POST", body: JSON.stringify(wanted.map(([, name]) => name)) });
    wanted.forEach(([type, name]) => list(type, name));
  },
});

// App Mode of pages before 1.49 knows a widget by [node, name]; newer pages, and our files, by ["graph:node:name", name].
const NEW_APP_MODE = 49;

app.registerExtension({
  name: "micromotion.appmode",
  async beforeConfigureGraph(graph) {
    const ours = (graph.extra?.linearData?.inputs ?? []).filter(([id]) => String(id).split(":").length === 3);
    if (!ours.length) return;
    const version = (await app.graphToPrompt()).workflow.extra?.frontendVersion ?? "";
    if (Number(version.split(".")[1] ?? NEW_APP_MODE) >= NEW_APP_MODE) return;
    for (const input of ours) input[0] = Number(input[0].split(":")[1]);
  },
});

// What Fetch Model has fetched is listed by the loaders without pressing R.
app.registerExtension({
  name: "micromotion.fetched",
  setup() {
    api.addEventListener("executed", ({ detail }) => {
      const said = detail?.output?.text?.[0] ?? "";
      if (String(said).startsWith("Fetched:")) app.refreshComboInNodes?.();
    });
  },
});
