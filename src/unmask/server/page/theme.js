// Light or dark? As the system has it, until somebody says otherwise.

const ORDER = ["auto", "light", "dark"];
const SIGNS = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" };
const SPOKEN = { auto: "as the system", light: "light", dark: "dark" };
const PLACE = "unmask-colours";

/** Let `button` go through the choices; `changed` is called after each. */
export function openTheme(button, changed) {
  let now = recall();
  const show = () => {
    document.documentElement.dataset.colours = now;
    button.textContent = SIGNS[now];
    button.setAttribute("aria-label", `Colours: ${SPOKEN[now]}`);
  };
  button.onclick = () => {
    now = ORDER[(ORDER.indexOf(now) + 1) % ORDER.length];
    try {
      localStorage.setItem(PLACE, now);
    } catch {
      // Private windows may refuse; the choice then lasts as long as the page.
    }
    show();
    changed();
  };
  show();
}

function recall() {
  try {
    const stored = localStorage.getItem(PLACE);
    return ORDER.includes(stored) ? stored : "auto";
  } catch {
    return "auto";
  }
}
