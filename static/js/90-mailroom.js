// Mailroom's own script: small manners that HTML has no attribute for. Every
// page works without it.
(() => {
  "use strict";

  // Escape leaves a dialog that has its own URL, as its Cancel link does.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    const menu = document.querySelector("details[data-menu][open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
      return;
    }
    const way = document.querySelector("dialog[open] [data-dismiss]");
    if (way) way.click();
  });

  // A click elsewhere closes an open menu.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // Parts of a form that belong to one choice: <fieldset data-when="account=other">.
  // Without script they all show, and the server looks at the chosen one's only.
  const reveal = (form) => {
    for (const part of form.querySelectorAll("[data-when]")) {
      const [name, values] = part.dataset.when.split("=");
      const chosen = form.querySelector(`[name="${name}"]:checked, select[name="${name}"]`);
      const shown = Boolean(chosen) && values.split("|").includes(chosen.value);
      part.hidden = !shown;
      if ("disabled" in part) part.disabled = !shown;
    }
  };
  const revealAll = (root) => {
    for (const form of root.querySelectorAll("form")) {
      if (form.querySelector("[data-when]")) reveal(form);
    }
  };
  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (form) reveal(form);
    // A select or switch that acts at once: <select data-submit>.
    if (form && event.target.matches("[data-submit]")) form.requestSubmit();
  });

  // Copy a text that stands on the page: <button data-copy="#id" data-copied="Copied">.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
    button.textContent = button.dataset.copied;
  });

  // A form that was sent says so: its button cannot be pressed twice.
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || event.defaultPrevented || event.target.target) return;
    button.setAttribute("aria-busy", "true");
    setTimeout(() => { button.inert = true; });
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button[aria-busy]")) {
      button.removeAttribute("aria-busy");
      button.inert = false;
    }
  });

  // While Mailroom does not answer, a page that refreshes itself says that what it
  // shows may be out of date.
  const stale = (is) => {
    const notice = document.querySelector("[data-stale]");
    if (notice) notice.hidden = !is;
  };
  document.addEventListener("htmx:after:request", (event) => stale(event.detail.ctx.response.status >= 500));
  document.addEventListener("htmx:error", (event) => { if (event.detail.ctx) stale(true); });

  // Elements that are of use only with script carry the hidden attribute and data-script.
  const ready = (root) => {
    for (const part of root.querySelectorAll("[data-script][hidden]")) part.hidden = false;
    revealAll(root);
  };
  // A dialog keeps the keyboard: what is not in it is inert, and it has the focus
  // unless one of its fields asked for it.
  const keepDialog = () => {
    const dialog = document.querySelector(".scrim dialog[open]");
    if (!dialog) return;
    for (const part of document.querySelectorAll(".skip, .top")) part.inert = true;
    if (!dialog.contains(document.activeElement)) (dialog.querySelector("[autofocus]") ?? dialog).focus();
  };
  document.addEventListener("DOMContentLoaded", () => { ready(document); keepDialog(); });
  document.addEventListener("htmx:after:swap", () => ready(document));
})();
