// English sentences in, the same in the chosen language out. English is what stands in the code;
// words.fr.json has the French for each sentence.

const catalogues = { en: {} };
const KEPT = "interlock-language";
let current = "en";

export const language = () => current;

/** The sentence in the chosen language, with {name} replaced by values. */
export function t(sentence, values = {}) {
  const words = catalogues[current]?.[sentence] ?? sentence;
  return words.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** One of several texts by language; English where the chosen one is missing. */
export const pick = (texts) => texts[current] ?? texts.en ?? "";

/** What the browser was last set to, or what it asks for. */
export function preferred() {
  let kept = null;
  try {
    kept = localStorage.getItem(KEPT);
  } catch {
    // Storage may be forbidden; the page works without it.
  }
  return kept ?? (navigator.language.startsWith("fr") ? "fr" : "en");
}

/** Every sentence of the page is in `wanted` from now on. */
export async function speak(wanted) {
  if (!catalogues[wanted]) {
    const answer = await fetch(`/static/words.${wanted}.json`);
    catalogues[wanted] = await answer.json();
  }
  current = wanted;
  try {
    localStorage.setItem(KEPT, wanted);
  } catch {
    // As above.
  }
  document.documentElement.lang = wanted;
  translate(document);
}

/** The marked sentences below `root` are in the chosen language. */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) {
    element.dataset.msgid ??= element.textContent.trim();
    element.textContent = t(element.dataset.msgid);
  }
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.dataset.msgid ??= element.getAttribute("aria-label");
    element.setAttribute("aria-label", t(element.dataset.msgid));
  }
}
