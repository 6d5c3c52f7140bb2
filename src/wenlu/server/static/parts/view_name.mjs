// What a view is called: of the one in which models write from a text, what they were trained to write.
import { named, t } from "../i18n.mjs";

export function viewName(view, models) {
  const tasks = new Set(models.map(model => model.task));
  const name = t(`view.${view}`);
  return tasks.size === 1 ? named(`view.${view}`, [...tasks][0], name) : name;
}
