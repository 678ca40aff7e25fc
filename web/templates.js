// Templates of this pack in the order of their numbers: ComfyUI lists them as the file system does, which Linux does not sort.
import { api } from "../../scripts/api.js";

const listed = api.getWorkflowTemplates;
api.getWorkflowTemplates = async function () {
  const all = await listed.apply(this, arguments);
  for (const [pack, names] of Object.entries(all)) if (/micromotion/i.test(pack)) names.sort();
  return all;
};
