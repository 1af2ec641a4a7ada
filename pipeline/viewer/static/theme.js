// Light or dark: as the system says, until somebody chooses.

const KEY = "posecast-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** Sets the theme now and whenever it changes; `changed` is called each time. */
export function themed(button, changed) {
  const chosen = () => localStorage.getItem(KEY) ?? (system.matches ? "dark" : "light");
  const show = () => {
    document.documentElement.dataset.theme = chosen();
    changed();
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, chosen() === "dark" ? "light" : "dark");
    show();
  });
  system.addEventListener("change", show);
  show();
}

/** A colour of the theme by its name in the style sheet. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
