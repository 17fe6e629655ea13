/* Runs that are going on: what the admin's pages show of them is renewed while somebody looks. */
"use strict";
(() => {
  const SECONDS = 3;

  const parts = () => [...document.querySelectorAll("[data-run][data-progress]")];

  const show = (part, told) => {
    if (part.textContent !== told.texts[part.dataset.part]) {
      part.textContent = told.texts[part.dataset.part];
    }
    if (!told.is_running) {
      part.removeAttribute("data-progress"); // asked for no more
    }
  };

  const renew = async () => {
    const asked = parts();
    if (!asked.length) {
      return;
    }
    if (!document.hidden) {
      const runs = new Set(asked.map((part) => part.dataset.run));
      const query = new URLSearchParams([...runs].map((run) => ["run", run]));
      try {
        const answer = await fetch(`${asked[0].dataset.progress}?${query}`, {
          credentials: "same-origin",
          redirect: "error", // to the login page
        });
        if (answer.ok) {
          const told = (await answer.json()).runs;
          asked.filter((part) => part.dataset.run in told)
            .forEach((part) => show(part, told[part.dataset.run]));
        } else if (answer.status === 403) {
          return;
        }
      } catch {
        // The next time may succeed; a reload shows the same.
      }
    }
    window.setTimeout(renew, 1000 * SECONDS);
  };

  document.addEventListener("DOMContentLoaded", () => window.setTimeout(renew, 1000 * SECONDS));
})();
