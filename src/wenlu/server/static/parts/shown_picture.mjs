// A picture that is about to be sent, and how to choose one.
import { html } from "../vendor.mjs";
import { t } from "../i18n.mjs";
import { Icon } from "./icons.mjs";

export function PictureButton({ onFiles }) {
  return html`
    <label class="square picture-button" title=${t("picture.choose")}>
      <input
        type="file"
        class="unseen"
        accept="image/*"
        aria-label=${t("picture.choose")}
        onChange=${event => {
          onFiles(event.target.files);
          event.target.value = "";
        }}
      />
      <${Icon} name="picture" />
    </label>
  `;
}

export function ShownPicture({ url, onRemove }) {
  return html`
    <div class="shown-picture">
      <img src=${url} alt=${t("picture.yours")} />
      <button type="button" class="quiet small" onClick=${onRemove}>${t("picture.remove")}</button>
    </div>
  `;
}
