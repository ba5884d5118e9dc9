document.documentElement.classList.add("js");
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const table = document.getElementById(button.dataset.of);
    const rows = [...table.rows].map((row) =>
      [...row.cells].filter((cell) => !cell.hasAttribute("aria-hidden")).map((cell) => {
        const exact = cell.querySelector("[data-v]");
        return exact ? exact.dataset.v : cell.textContent.trim();
      }).join("\t"));
    await navigator.clipboard.writeText(rows.join("\n"));
    button.textContent = "Copied";
  });
}
