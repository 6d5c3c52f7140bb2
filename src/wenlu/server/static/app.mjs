// The page: a frame with a view in it. A view is one file and one row here.
import { html, render, useEffect, useRef } from "./vendor.mjs";
import { Announcements } from "./announcement.mjs";
import { language, speak, t } from "./i18n.mjs";
import { models, refresh, watch } from "./models.mjs";
import { Header } from "./parts/header.mjs";
import { KeyDialog } from "./parts/key_dialog.mjs";
import { Navigation } from "./parts/navigation.mjs";
import { route, start } from "./router.mjs";
import { Answer } from "./views/answer.mjs";
import { Chat } from "./views/chat.mjs";
import { Classify } from "./views/classify.mjs";
import { Complete } from "./views/complete.mjs";
import { Extract } from "./views/extract.mjs";
import { Grade } from "./views/grade.mjs";
import { Home } from "./views/home.mjs";
import { Translate } from "./views/translate.mjs";

const VIEWS = {
  home: Home,
  chat: Chat,
  complete: Complete,
  classify: Classify,
  extract: Extract,
  answer: Answer,
  translate: Translate,
  grade: Grade,
};

function App() {
  const { view } = route.value;
  const name = view in VIEWS ? view : "home";
  const View = VIEWS[name];
  const main = useRef();
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${t(`view.${name}`)} · ${t("name")}`;
  }, [name, language.value]);
  useEffect(() => {
    // As a new page would: the top of what is new, for eyes and for screen readers.
    if (!isFirst.current) {
      scrollTo(0, 0);
      main.current.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [name]);
  const skip = event => {
    event.preventDefault();
    main.current.focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
    <${Header} />
    <div class="frame">
      <${Navigation} current=${name} />
      <main id="main" ref=${main} tabindex="-1" aria-busy=${models.value === null}>
        <${View} key=${name} />
      </main>
    </div>
    <${KeyDialog} />
    <${Announcements} />
  `;
}

start();
await Promise.all([speak(language.value), refresh()]);
render(
  html`
    <${App} />
  `,
  document.getElementById("app"),
);
watch();
